// The fast forward kernel, and the scans over segments.

template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE>
__device__ void forward(const Problem& p) {
  using F = Filter<X, Y, B, A, P, Q, VB, VA, LANE>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int M = F::M, K = F::K, STATES = VA ? 2 : P;
  extern __shared__ __align__(16) unsigned char memory[];
  const int phase = int(p.phase);
  const bool shares_x = int(p.shares_x), block_sync = int(p.block_sync), across = int(p.y.access) == ACROSS;

  if (EXACT<V> && P > 0 && !VA && phase == 3 && !runs_again(p)) return;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    // phases 2 and 3 begin with what the one before read last, which the cache still holds
    Place w(p, phase == 2 ? p.items - 1 - item : item);
    const F filter(p, w);
    const auto shared = Shared<F, A, P>::of(memory, w, shares_x);
    const auto tile = shared.tile, source = shared.source;
    const auto table = shared.table;
    const auto varying = shared.varying;
    const int offset = w.lane * M;

    const i64 place = (w.row * p.segments + w.segment) * STATES;
    const Manner manner = manner_of<F, VA, A, P>(p, w, table, phase, place);
    const bool careful = manner.careful, in_turn = manner.in_turn, alone = manner.alone;
    const int first = manner.first, stop = manner.stop;

    V state[F::P1] = {};
    W* const wide = EXACT<V> || in_turn ? nullptr : (W*)table[5].entries;  // free after `reach_large`
    if constexpr (P > 0) {
#pragma unroll
      for (int k = 0; k < P; ++k) {
        W start = W();
        if (phase > 1 && !alone) start = ((const W*)p.starts)[place + k];
        else if (phase != 1 && p.outputs.at)
          start = to<W>(load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k) * p.outputs.time));
        state[k] = to<V>(start);
        if (wide && careful && w.lane == 0) wide[k] = start;
      }
    }
    const X* x_row = kept(at<const X>(p.x, w.b, w.c));
    Y* y_row = kept(at<Y>(p.y, w.b, w.c));
    const A* a_row = at<const A>(p.a, w.b, w.c);
    auto product = one<typename F::WA>();
    for (int n = first; n < stop; ++n) {
      w.template enter<K>(p, n);
      w.sync(block_sync);
      read_tile(w, p, source, p.x, x_row, 0, shares_x);
      read_before<X, X>(w, source, p.x, x_row, p.inputs, Q, shares_x);
      if constexpr (VA) read_tile(w, p, varying, F::varying(p.a), a_row);
      w.sync(block_sync);
      V x[F::REACH + M], v[M];
      source.template read<F::REACH>(x, offset);
#pragma unroll
      for (int i = 0; i < M; ++i) {
        v[i] = V();
#pragma unroll
        for (int j = 0; j <= Q; ++j) mac(v[i], filter.forward_tap(p, w, j, w.t0 + offset + i), x[F::REACH + i - j]);
      }
      A gates[M] = {};
      if constexpr (VA) varying.template read<0>(gates, offset);
      if constexpr (P > 0) {
        V before[P];
        Solver<V, A, P, M, F::HALO, false, VA> solver{w.lane};
        auto tap = [&](int i, int k) { return VA ? gates[i] : filter.a[k]; };
        if (!VA && careful) {
          __syncwarp();
          tile.write(v, offset);
          solver.solve_carefully(tile, state, before, tap, table, wide, in_turn);
          tile.template read<0>(v, offset);
          if (phase == 1 && wide) {
            __syncwarp();
            if (w.active && w.lane == 0)
              for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = is_finite(state[0]) ? wide[k] : to<W>(state[k]);
          }
        } else solver.solve(v, state, before, tap, table, [] {});
        if (VA && phase == 1) product = times(product, solver.product);
      }
      if (phase == 1) continue;
      __syncwarp();
      tile.write(v, offset);
      w.sync(across);
      write_tile(w, p, tile, p.y, y_row);
      if constexpr (P > 0 && !same<Y, state_t<Y>>) {
        const i64 u = p.length - p.last + w.lane - w.t0;
        if (w.active && w.lane < p.last && u >= 0 && u < K)
          store(at<state_t<Y>>(p.last_y, w.b, w.c) + w.lane * p.last_y.time, tile[int(u)]);
      }
    }
    if constexpr (P > 0) {
      if ((EXACT<V> && !VA ? p.ends != nullptr : phase == 1 && !(careful && stop > first)) && w.active && w.lane == 0) {
#pragma unroll
        for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = to<W>(state[k]);
        if (VA) ((W*)p.ends)[place + 1] = to<W>(product);
      }
    }
    __syncthreads();
  }
}

// Turns the segments' end states from zero state into their true start states. One warp a row; N is the length of a
// state, of which feedback reaches p.order. BACK is the adjoint, which begins at the last segment. After phase 2 it mends
// the start states by what the segments that ran from them leave between one's end and the next one's start.
template <class Y, class A, int N, int K, bool BACK> __device__ void carry(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  extern __shared__ __align__(16) unsigned char memory[];
  const int lane = threadIdx.x;
  const bool refines = EXACT<V> && p.phase == 2;
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    if (refines && !((const i64*)p.again)[row]) continue;
    const i64 b = row / p.channels, c = row % p.channels, span = (p.segments + 31) / 32;
    // 0: over one segment; 1: over a lane's segments, and doubled; 2: the base of powers
    Matrix<WA, N> over[3] = {{(WA*)memory}, {(WA*)memory + N * N}, {(WA*)memory + 2 * N * N}};
    auto power = [&](const Matrix<WA, N>& result, i64 exponent) {
      // base 2 is spent; the result starts as the identity
      __syncwarp();
      for (int e = lane; e < N * N; e += 32) result.entries[e] = e % (N + 1) ? WA() : one<WA>();
      __syncwarp();
      for (; exponent; exponent /= 2) {
        if (exponent & 1) result.product(result, over[2], lane);
        if (exponent > 1) over[2].product(over[2], over[2], lane);
      }
    };
    over[2].companion(p.a.at ? at<const A>(p.a, b, c) : (const A*)nullptr, p.a.tap, int(p.order), lane);
    power(over[0], p.tiles * K);
    over[2].copy(over[0], lane);
    power(over[1], span);

    auto place = [&](i64 j) { return (row * p.segments + (BACK ? p.segments - 1 - j : j)) * N; };
    const i64 first = lane * span, stop = first + span < p.segments ? first + span : p.segments;
    W state[N], old[N];
    W* const starts = (W*)p.starts;
    auto step = [&](i64 j) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        old[k] = state[k];
        state[k] = load((const W*)p.ends + place(j) + k);
        if (refines) state[k] = k < p.order && j + 1 < p.segments ? minus(state[k], starts[place(j + 1) + k]) : W();
      }
      over[0].template apply<BACK>(state, old);
    };
#pragma unroll
    for (int k = 0; k < N; ++k) {
      state[k] = W();
      if (!BACK && !refines && lane == 0 && p.outputs.at)
        state[k] = to<W>(load(at<const state_t<Y>>(p.outputs, b, c) + (N - 1 - k) * p.outputs.time));
    }
    W initial[N];
#pragma unroll
    for (int k = 0; k < N; ++k) initial[k] = state[k];
    // with several loads on their way at once
    constexpr int AHEAD = N > 4 ? 1 : 8;
#pragma unroll AHEAD
    for (i64 j = first; j < stop; ++j) step(j);
    for (int d = 1; d < 32; d *= 2) {
#pragma unroll
      for (int k = 0; k < N; ++k) old[k] = from_before<false>(state[k], d);
      if (lane >= d) over[1].template apply<BACK>(state, old);
      over[1].product(over[1], over[1], lane);
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const W earlier = from_before<false>(state[k], 1);
      state[k] = lane ? earlier : initial[k];
    }
#pragma unroll AHEAD
    for (i64 j = first; j < stop; ++j) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        if (refines) add(starts[place(j) + k], state[k]);
        else starts[place(j) + k] = state[k];
      }
      if (j + 1 < stop) step(j);
    }
    __syncwarp();
  }
}

// The same where feedback varies: a segment hands on its end state from zero state and the product of its feedback, and
// gets its start state and whether products of the row are too large to compute with.
template <class Y, class A, bool BACK> __device__ void carry_varying(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  const int lane = threadIdx.x;
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    const i64 b = row / p.channels, c = row % p.channels, span = (p.segments + 31) / 32;
    const i64 first = lane * span, stop = first + span < p.segments ? first + span : p.segments;
    auto place = [&](i64 j) { return (row * p.segments + (BACK ? p.segments - 1 - j : j)) * 2; };
    bool large = false;
    W state = W();
    if (!BACK && lane == 0 && p.outputs.at) state = to<W>(load(at<const state_t<Y>>(p.outputs, b, c)));
    const W initial = state;
    auto product = one<WA>();
    auto step = [&](i64 j) {
      const W* end = (const W*)p.ends + place(j);
      const WA factor = to<WA>(load(end + 1));
      const W old = state;
      state = load(end);
      mac(state, factor, old);
      product = times(product, factor);
      large = large || !(size_of(product) <= LARGEST_PRODUCT<V>);
    };
    for (i64 j = first; j < stop; ++j) step(j);
    const bool unstable = !scan_products<V, false>(state, product, lane) | __any_sync(ALL, large);
    const W earlier = from_before<false>(state, 1);
    state = lane ? earlier : initial;
    for (i64 j = first; j < stop; ++j) {
      W* start = (W*)p.starts + place(j);
      start[0] = state;
      start[1] = unstable ? one<W>() : W();
      step(j);
    }
    __syncwarp();
  }
}
