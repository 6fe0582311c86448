// Forward: tile by tile.

template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE>
__device__ void tiles_forward(const Problem& p) {
  using F = Filter<X, Y, B, A, P, Q, VB, VA, LANE>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int M = F::M, K = F::K, STATES = VA ? 2 : P;
  extern __shared__ __align__(16) unsigned char memory[];
  const int phase = int(p.phase);
  const bool shares_x = int(p.shares_x), across = crosses(p);

  if (EXACT<V> && P > 0 && !VA && phase == 3 && !runs_again(p)) return;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    // phases 2 and 3 begin with what the one before read last, which the cache still holds
    Place w(p, phase == 2 ? p.items - 1 - item : item);
    const F filter(p, w);
    const auto shared = Shared<F, A, P>::template of<true, false, false>(memory, w, shares_x);
    const auto tile = shared.tile;
    const auto table = shared.table;
    const int offset = w.lane * M;

    const i64 place = (w.row * p.segments + w.segment) * STATES;
    const Manner manner = manner_of<F, VA, A, P>(p, w, table, phase, place);
    const bool alone = manner.alone;
    const int care = only_here(int(manner.care));
    const int first = manner.first, stop = manner.stop;

    V state[F::P1] = {};
    // a state in double; free after `reach_large`
    auto wide_of = [&] { return EXACT<V> || care != WITH_CARE ? nullptr : (W*)table[5].entries; };
    if constexpr (P > 0) {
#pragma unroll
      for (int k = 0; k < P; ++k) {
        W start = W();
        if (phase > 1 && !alone) start = ((const W*)p.starts)[place + k];
        else if (phase != 1 && p.outputs.at)
          start = to<W>(load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k) * p.outputs.time));
        state[k] = to<V>(start);
        if (wide_of() && w.lane == 0) wide_of()[k] = start;
      }
    }
    const Line<const X, F::RowOfX::E> x_row(p.x, w);
    const Line<Y, F::RowOfY::E> y_row(p.y, w);
    const Line<const A, F::RowOfA::E> gates_row(F::varying(p.a), w);
    auto product = one<typename F::WA>();
    auto source = [&](int n) { return shared.source.of(shares_x ? n & 1 : 0); };
    auto fetch_tile = [&](int n) {
      const i64 t0 = i64(n) * K;
      fetch<X>(w, p, t0, source(n), p.x, x_row, p.inputs, Q, 0, shares_x);
      if constexpr (VA) fetch<A>(w, p, t0, shared.varying, F::varying(p.a), gates_row, Signal(), 0, 0, false);
    };
    if (first < stop) fetch_tile(first);
    for (int n = first; n < stop; ++n) {
      V x[F::REACH + M], v[M];
      A gates[M] = {};
      w.template enter<K>(p, n);
      copies_arrived();
      w.sync(across || shares_x);
      source(n).template read<F::REACH>(x, offset, x_row.skew);
      if constexpr (VA) shared.varying.template read<0>(gates, offset, gates_row.skew);
      if (VA || !shares_x) w.sync(across);
      if (n + 1 < stop) fetch_tile(n + 1);
#pragma unroll
      for (int i = 0; i < M; ++i) {
        v[i] = V();
#pragma unroll
        for (int j = 0; j <= Q; ++j) mac(v[i], filter.forward_tap(p, w, j, w.t0 + offset + i), x[F::REACH + i - j]);
      }
      if constexpr (P > 0) {
        V before[P];
        typename F::template Solves<false> solver{w.lane};
        auto tap = [&](int i, int k) { return VA ? gates[i] : filter.a[k]; };
        if (!VA && care) {
          W* const wide = wide_of();
          __syncwarp();
          tile.write(v, offset);
          solver.solve_carefully(tile, state, before, tap, table, wide, care == IN_TURN);
          tile.template read<0>(v, offset);
          if (phase == 1 && wide) {
            __syncwarp();
            if (w.active && w.lane == 0)
              for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = is_finite(state[0]) ? wide[k] : to<W>(state[k]);
          }
        } else solver.solve(v, state, before, tap, table, [] {}, phase == 1);
        if (VA && phase == 1) product = times(product, solver.product);
      }
      if (phase == 1) continue;
      __syncwarp();
      if (P > 0 && p.last_y.at && w.t0 + K > p.length - p.last) {
        tile.write(v, offset);
        __syncwarp();
        const i64 u = p.length - p.last + w.lane - w.t0;
        if (w.active && w.lane < p.last && u >= 0 && u < K)
          store(at<state_t<Y>>(p.last_y, w.b, w.c) + w.lane * p.last_y.time, tile[int(u)]);
        __syncwarp();
      }
      const auto out = tile.template as<Y>();
      out.write(v, offset, y_row.skew);
      w.sync(int(p.y.access) == ACROSS);
      send(w, out, p.y, y_row);
    }
    if constexpr (P > 0) {
      if ((EXACT<V> && !VA ? p.ends != nullptr : phase == 1 && !(care && stop > first)) && w.active && w.lane == 0) {
#pragma unroll
        for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = to<W>(state[k]);
        if (VA) ((W*)p.ends)[place + 1] = to<W>(product);
      }
    }
    if (phase != 1 && w.segment == 0 && w.active) write_last_x<X>(p, w.b, w.c, w.lane, 32);
    __syncthreads();
  }
}
