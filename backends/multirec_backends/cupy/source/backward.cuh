// The fast gradient. It walks the tiles from the last to the first.
//
// In each tile the adjoint recurrence gives lambda; y is computed again from x and the p samples of y before the
// tile, which is cheaper than reading all of y; a y of half type is read, and so is one where x is not needed.
// What it writes: the gradients of x and of the state, the gradients of varying coefficients sample by sample, and those
// of constant ones as sums over time: in the kernel's precision within a lane's samples of a tile, in double across tiles
// and lanes. `fold` adds up the rest, in a fixed order.

// Writes the samples that lanes hold, by way of the tile; what the tile held is lost.
template <class S, class T, class V, int M>
__device__ void write_lanes(const Place& w, const Problem& p, T tile, const V (&v)[M], const Signal& s) {
  w.sync(int(p.block_sync));
  tile.write(v, w.lane * M);
  w.sync(int(s.access) == ACROSS);
  write_tile(w, p, tile, s, at<S>(s, w.b, w.c));
}

// READS_Y: of half types, since y from a rounded start would be worse than y rounded sample by sample, whose errors
// average out; and where x is not needed for anything else
template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE, bool READS_Y>
__device__ void backward(const Problem& p) {
  using F = Filter<X, Y, B, A, P, Q, VB, VA, LANE>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int M = F::M, K = F::K, N = largest(P, Q), STATES = VA ? 2 : N;
  extern __shared__ __align__(16) unsigned char memory[];
  const int phase = int(p.phase), wants = phase == 1 ? 0 : int(p.wants);
  const bool shares_x = int(p.shares_x), block_sync = int(p.block_sync), across = int(p.grad_x.access) == ACROSS;

  if (EXACT<V> && P > 0 && !VA && phase == 3 && !runs_again(p)) return;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    Place w(p, item);
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

    // `next`: what follows the tile, as lanes hold it: lambda, of which feedforward reaches Q samples
    constexpr int NEAR = Q < M ? Q : M;
    W* const wide = EXACT<V> || in_turn ? nullptr : (W*)table[5].entries;  // free after `reach_large`
    V state[F::P1] = {}, next[largest(NEAR, 1)] = {};
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const W start = phase > 1 && !alone ? ((const W*)p.starts)[place + k] : W();
      state[k] = to<V>(start);
      if (wide && careful && w.lane == 0) wide[k] = start;
    }
    if (phase > 1 && !alone) {
#pragma unroll
      for (int i = 0; i < NEAR; ++i)
        if (offset + i < N) next[i] = to<V>(((const W*)p.starts)[place + offset + i]);
    }
    if (P == 0) {
#pragma unroll
      for (int i = 0; i < NEAR; ++i) {
        const i64 t = i64(stop) * K + offset + i;
        if (t < p.length) next[i] = load(at<const Y>(p.grad_y, w.b, w.c) + t * p.grad_y.time);
      }
    }
    const X* x_row = kept(at<const X>(p.x, w.b, w.c));
    const Y *grad_row = kept(at<const Y>(p.grad_y, w.b, w.c)), *y_row = kept(at<const Y>(p.y, w.b, w.c));
    X* grad_x_row = kept(at<X>(p.grad_x, w.b, w.c));
    const SumX<V> sums_of_x(p, w.b * p.groups + w.group);
    const i64 before_last = p.length - p.last;
    const int late = int(before_last / K);  // the first tile that grad_last reaches
    W sum_b[Q + 1] = {}, sum_a[F::P1] = {};
    auto product = one<typename F::WA>();

    for (int n = stop - 1; n >= first; --n) {
      w.template enter<K>(p, n);
      const bool is_first = n == 0;
      w.sync(block_sync);
      if (shares_x && (wants & WANTS_TAPS)) {
        read_tile(w, p, source, p.x, x_row, 0, true);
        read_before<X, X>(w, source, p.x, x_row, p.inputs, Q, true);
      }
      read_tile(w, p, tile, p.grad_y, grad_row);
      if constexpr (VA) read_tile(w, p, varying, F::varying(p.a), at<const A>(p.a, w.b, w.c), 1);
      V before[F::P1] = {};
      if ((wants & WANTS_FEEDBACK) && !READS_Y) {
        auto read = [&](const auto* from, i64 time) {
#pragma unroll
          for (int k = 0; k < P; ++k) before[k] = load(from -= time);
        };
        if (!is_first) read(y_row + w.t0 * p.y.time, p.y.time);
        else if (p.outputs.at) read(at<const state_t<Y>>(p.outputs, w.b, w.c) + P * p.outputs.time, p.outputs.time);
      }
      w.sync(block_sync);
      V l[M], after[F::P1];  // lambda; and that from which the lane's was computed
      if (n >= late) {
        const i64 u = before_last + w.lane - w.t0;
        if (w.lane < p.last && u >= 0 && u < K)
          add(tile[int(u)], load(at<const state_t<Y>>(rarely(p.grad_last), w.b, w.c) + w.lane * p.grad_last.time));
        __syncwarp();
      }
      tile.template read<0>(l, offset);
      A gates[M + F::RowA::E] = {};
      if constexpr (VA) varying.template read<0>(gates, offset);
      if constexpr (P > 0) {
        Solver<V, A, P, M, F::HALO, true, VA> solver{w.lane};
        auto tap = [&](int i, int k) { return conj(VA ? gates[i + 1] : filter.a[k]); };
        if (!VA && careful) {
          solver.solve_carefully(tile, state, after, tap, table, wide, in_turn);
          tile.template read<0>(l, offset);
          if (phase == 1 && wide) {
            __syncwarp();
            if (w.active && w.lane == 0)
              for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = is_finite(state[0]) ? wide[k] : to<W>(state[k]);
          }
        } else solver.solve(l, state, after, tap, table, [] {});
        if (VA && phase == 1) product = times(product, solver.product);
      }
      if (phase == 1) {
        if (n == first && w.active)
#pragma unroll
          for (int i = 0; i < (N < M ? N : M); ++i)
            if (offset + i >= P && offset + i < N) ((W*)p.ends)[place + offset + i] = to<W>(l[i]);
        continue;
      }
      V past = V();
      if (is_first) {
        tile.write(l, offset);
        __syncwarp();
        if constexpr (P > 0) {
          if (p.grad_outputs.at && w.active && w.lane < P) {
            V g = V();
#pragma unroll
            for (int k = 0; k < P; ++k)
              if (k >= w.lane) mac(g, conj(VA ? varying[k - w.lane] : filter.a[k]), tile[k - w.lane]);
            store(at<V>(p.grad_outputs, w.b, w.c) + (P - 1 - w.lane) * p.grad_outputs.time, g);
          }
        }
        if (w.lane < Q)
#pragma unroll
          for (int j = 1; j <= Q; ++j)
            if (j > w.lane) mac(past, conj(filter.forward_tap(p, w, j, j - 1 - w.lane)), tile[j - 1 - w.lane]);
        __syncwarp();
      }
      if (wants & WANTS_X) {
        V beyond[largest(Q, 1)], g[M];
#pragma unroll
        for (int j = 0; j < Q; ++j) {
          const V sent = w.lane > j / M ? l[j % M] : next[j % M];
          beyond[j] = from_lane(sent, w.lane + 1 + j / M);
          // what two lanes have of the same number differs by rounding, and a filter that takes differences sees it
          if (j < P) beyond[j] = after[j];
        }
#pragma unroll
        for (int i = 0; i < NEAR; ++i) next[i] = l[i];
        auto later = [&](int i) { return i < M ? l[i] : beyond[i - M]; };
#pragma unroll
        for (int i = 0; i < M; ++i) {
          g[i] = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) mac(g[i], conj(filter.forward_tap(p, w, j, w.t0 + offset + i + j)), later(i + j));
        }
        if (is_first && w.lane < Q) tile[-1 - w.lane] = past;
        tile.write(g, offset);
        if (p.sum_x) {
          __syncthreads();
          sum_rows<Q>(w, p, tile, sums_of_x);
        } else {
          w.sync(across);
          if (p.grad_x.at) write_tile(w, p, tile, p.grad_x, grad_x_row);
          if (p.grad_inputs.at && is_first && w.active && w.lane < Q)
            store(at<compute_t<X>>(p.grad_inputs, w.b, w.c) + (Q - 1 - w.lane) * p.grad_inputs.time, past);
        }
      }
      if (!(wants & (READS_Y ? WANTS_TAPS | WANTS_FEEDBACK : WANTS_TAPS))) continue;

      V v[M];
      if (!READS_Y || (wants & WANTS_TAPS)) {
        if (!shares_x) {
          w.sync(block_sync);
          read_tile(w, p, source, p.x, x_row);
          read_before<X, X>(w, source, p.x, x_row, p.inputs, Q);
          w.sync(block_sync);
        }
        V x[F::REACH + M];
        source.template read<F::REACH>(x, offset);
        auto earlier = [&](int i, int j) { return x[F::REACH + i - j]; };
        V part[Q + 1] = {};
#pragma unroll
        for (int i = 0; i < M; ++i) {
          v[i] = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) {
            mac(v[i], filter.forward_tap(p, w, j, w.t0 + offset + i), earlier(i, j));
            if (!VB) mac(part[j], conj(earlier(i, j)), l[i]);
          }
        }
#pragma unroll
        for (int j = 0; j <= Q; ++j) {
          if (!VB) add(sum_b[j], to<W>(part[j]));
          else if (p.grad_b.at) {
            V g[M];
#pragma unroll
            for (int i = 0; i < M; ++i) {
              g[i] = V();
              mac(g[i], conj(earlier(i, j)), l[i]);
            }
            Signal grad = F::varying(p.grad_b);
            grad.at = (B*)grad.at + j * p.grad_b.tap;
            write_lanes<B>(w, p, tile, g, grad);
          }
        }
      }
      if constexpr (P > 0) {
        if (!(wants & WANTS_FEEDBACK)) continue;
        V y[F::REACH_Y + M];
        if constexpr (READS_Y) {
          w.sync(block_sync);
          read_tile(w, p, tile, p.y, y_row);
          read_before<Y, state_t<Y>>(w, tile, p.y, y_row, p.outputs, P);
          w.sync(block_sync);
          tile.template read<F::REACH_Y>(y, offset);
        } else {
          V mine[P];
          Solver<V, A, P, M, F::HALO, false, VA> solver{w.lane};
          auto tap = [&](int i, int k) { return VA ? gates[i] : filter.a[k]; };
          solver.solve(v, before, mine, tap, table, [&] {
            if (!careful) return;
            // y as it is
            const Signal here = rarely(p.y), past = rarely(p.outputs);
#pragma unroll
            for (int k = 0; k < P; ++k) {
              const i64 t = w.t0 + offset - 1 - k;
              if (t >= 0) mine[k] = t < p.length ? load(at<const Y>(here, w.b, w.c) + t * here.time) : V();
              else mine[k] = past.at ? load(at<const state_t<Y>>(past, w.b, w.c) + (P + t) * past.time) : V();
            }
          });
#pragma unroll
          for (int k = 0; k < P; ++k) y[F::REACH_Y - 1 - k] = mine[k];
#pragma unroll
          for (int i = 0; i < M; ++i) y[F::REACH_Y + i] = v[i];
          // beyond the end y may overflow, and infinity times a lambda of zero is no zero
          if (w.left < K) {
#pragma unroll
            for (int i = -P; i < M; ++i)
              if (offset + i >= w.left) y[F::REACH_Y + i] = V();
          }
        }
#pragma unroll
        for (int k = 0; k < P; ++k) {
          V part = V();
#pragma unroll
          for (int i = 0; i < M; ++i) {
            if (VA) v[i] = V();
            mac(VA ? v[i] : part, conj(y[F::REACH_Y - 1 - k + i]), l[i]);
          }
          add(sum_a[k], to<W>(part));
        }
        if (VA) write_lanes<A>(w, p, tile, v, F::varying(p.grad_a));
      }
    }
    if ((EXACT<V> && !VA ? p.ends != nullptr : phase == 1 && !(careful && stop > first)) && w.active && w.lane == 0) {
#pragma unroll
      for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = to<W>(state[k]);
      if (VA) ((W*)p.ends)[place + 1] = to<W>(product);
      if (first >= stop)
        for (int k = P; k < N; ++k) ((W*)p.ends)[place + k] = W();
    }
    if (phase != 1 && p.sums) {
      W* sums = (W*)p.sums + (w.row * p.segments + w.segment) * (Q + 1 + P);
#pragma unroll
      for (int j = 0; j <= Q; ++j) {
        const W sum = sum_of_lanes(sum_b[j], w.lane);
        if (w.active && w.lane == 0) sums[j] = sum;
      }
#pragma unroll
      for (int k = 0; k < P; ++k) {
        const W sum = sum_of_lanes(sum_a[k], w.lane);
        if (w.active && w.lane == 0) sums[Q + 1 + k] = sum;
      }
    }
    __syncthreads();
  }
}
