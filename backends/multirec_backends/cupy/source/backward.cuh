// The fast gradient. It walks the tiles from the last to the first.
//
// In each tile the adjoint recurrence gives lambda; y is computed again from x and the p samples of y before the
// tile, which is cheaper than reading all of y. What it writes: the gradients of x and of the state, the gradients of
// varying coefficients sample by sample, and those of constant ones as sums over time: in the kernel's precision
// within a lane's samples of a tile, in double across tiles and lanes. `fold` adds up the rest, in a fixed order.

// Adds up the tiles of a block's rows, and `past` samples before the first tile; rows beyond the last one hold zeros.
template <class V, int M, int HALO>
__device__ void sum_rows(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, V* sums, int past, i64 t0) {
  constexpr int E = Tile<V, M, HALO>::E;
  const i64 left = p.length - t0;
  const auto first = tile.of(-w.warp);
  for (int u = int(threadIdx.x) - past; u < 0; u += blockDim.x) {
    V sum = V();
    for (int r = 0; r < 1 << w.log_rows; ++r) mac(sum, to<V>(1.0), first.of(r)[u]);
    sums[u] = sum;
  }
  for (int u = threadIdx.x * E; u < 32 * M && u < left; u += blockDim.x * E) {
    Pack<V, E> sum = {};
#pragma unroll 4
    for (int r = 0; r < 1 << w.log_rows; ++r) {
      const Pack<V, E> row = *(const Pack<V, E>*)first.of(r).place(u);
#pragma unroll
      for (int e = 0; e < E; ++e) mac(sum.values[e], to<V>(1.0), row.values[e]);
    }
#pragma unroll
    for (int e = 0; e < E; ++e)
      if (u + e < left) sums[u + e] = sum.values[e];
  }
}

// Writes the samples that lanes hold, by way of the tile; what the tile held is lost.
template <class S, class T, class V, int M>
__device__ void write_lanes(const Place& w, const Problem& p, T tile, const V (&v)[M], const Signal& s, i64 t0) {
  w.sync(p.block_sync);
  tile.write(v, w.lane * M);
  w.sync(s.access == ACROSS);
  write_tile<S>(w, p, tile, s, t0);
}

template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA>
__device__ void backward(const Problem& p) {
  using F = Filter<X, Y, B, A, P, Q, VB, VA>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int M = F::M, K = F::K, N = largest(P, Q), N1 = largest(N, 1);
  constexpr bool SCAN = P > 0 && !VA;
  using Table = Powers<typename F::WA, P, M>;
  extern __shared__ __align__(16) unsigned char memory[];

  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Place w(p, item);
    const F filter(p, w);
    const Table table{(typename F::WA*)memory + w.warp * Table::COUNT * P * P};
    auto* tiles = (V*)((typename F::WA*)memory + (SCAN ? (Table::COUNT * P * P) << w.log_rows : 0));
    const typename F::Row tile{tiles + w.warp * F::Row::SIZE};
    const typename F::Row source{p.shares_x ? tiles + (F::Row::SIZE << w.log_rows) : tile.values};
    auto* taps = (A*)(tiles + F::Row::SIZE * ((1 << w.log_rows) + (p.shares_x ? 1 : 0)));
    const typename F::RowA varying{taps + w.warp * F::RowA::SIZE};
    const i64 offset = w.lane * M;

    bool sequential = false, alone = false;
    if constexpr (SCAN) {
      sequential = table.build(w.active ? at<const A>(p.a, w.b, w.c) : (const A*)nullptr, p.a.tap,
                               p.segments > 1 ? p.length : 0, w.lane);
      alone = p.segments > 1 && __syncthreads_or(sequential);
    }
    i64 all = (p.length + K - 1) / K, first = w.segment * p.tiles, stop = first + p.tiles < all ? first + p.tiles : all;
    if (alone) {
      first = 0;
      stop = p.phase == 1 || w.segment ? 0 : all;
    }
    const bool wants_taps = p.sums || p.grad_b.at || p.grad_a.at, wants_x = p.grad_x.at || p.grad_inputs.at || p.sum_x;

    // `next`: what follows the tile, as lanes hold it: lambda, of which feedforward reaches Q samples
    constexpr int NEAR = Q < M ? Q : M;
    V state[F::P1] = {}, next[largest(NEAR, 1)] = {};
    const i64 place = (w.row * p.segments + w.segment) * N + offset;
    if (p.phase == 2 && !alone && w.active) {
#pragma unroll
      for (int k = 0; k < P; ++k) state[k] = to<V>(((const W*)p.starts)[place - offset + k]);
#pragma unroll
      for (int i = 0; i < NEAR; ++i)
        if (offset + i < N) next[i] = to<V>(((const W*)p.starts)[place + i]);
    }
    if (P == 0 && w.active) {
#pragma unroll
      for (int i = 0; i < NEAR; ++i) {
        const i64 t = stop * K + offset + i;
        if (t < p.length) next[i] = load(at<const Y>(p.grad_y, w.b, w.c) + t * p.grad_y.time);
      }
    }
    W sum_b[Q + 1] = {}, sum_a[F::P1] = {};

    for (i64 n = stop - 1; n >= first; --n) {
      const i64 t0 = n * K;
      const bool is_first = t0 == 0 && w.active;
      w.sync(p.block_sync);
      if (p.shares_x && wants_taps && p.phase != 1) {
        read_tile<X>(w, p, source, p.x, t0, K, true);
        read_before<X>(w, p, source, p.x, p.inputs, Q, t0, true);
      }
      read_tile<Y>(w, p, tile, p.grad_y, t0, K);
      if constexpr (VA) read_tile<A>(w, p, varying, F::varying(p.a), t0, K + 1);
      V before[F::P1] = {};
      if (p.wants_a && w.active && p.phase != 1) {
#pragma unroll
        for (int k = 0; k < P; ++k) {
          if (t0 - 1 - k >= 0) before[k] = to<V>(load(at<const Y>(p.y, w.b, w.c) + (t0 - 1 - k) * p.y.time));
          else if (p.outputs.at)
            before[k] = to<V>(load(at<const Y>(p.outputs, w.b, w.c) + (P + t0 - 1 - k) * p.outputs.time));
        }
      }
      w.sync(p.block_sync);
      V l[M];
      tile.template read<0>(l, offset);
      if (p.grad_last.at && w.active && t0 + K > p.length - p.last) {
#pragma unroll
        for (int i = 0; i < M; ++i) {
          const i64 late = t0 + offset + i - (p.length - p.last);
          if (late >= 0 && late < p.last)
            mac(l[i], to<V>(1.0), load(at<const Y>(p.grad_last, w.b, w.c) + late * p.grad_last.time));
        }
      }
      A gates[M + F::RowA::E] = {};
      if constexpr (VA) varying.template read<0>(gates, offset);
      if constexpr (P > 0) {
        V mine[P];
        Solver<V, A, P, M, true, VA> solver{w.lane};
        solver.solve(l, state, mine, [&](int i, int k) { return conj(VA ? gates[i + 1] : filter.a[k]); }, table,
                     sequential);
      }
      if (p.phase == 1) {
        if (n == first && w.active)
#pragma unroll
          for (int i = 0; i < (N < M ? N : M); ++i)
            if (offset + i < N) ((W*)p.ends)[place + i] = to<W>(l[i]);
        continue;
      }
      __syncwarp();
      if (t0 == 0) {
        tile.write(l, offset);
        __syncwarp();
      }
      if constexpr (P > 0) {
        if (p.grad_outputs.at && is_first && w.lane < P) {
          V g = V();
#pragma unroll
          for (int k = 0; k < P; ++k)
            if (k >= w.lane) mac(g, conj(VA ? varying[k - w.lane] : filter.a[k]), tile[k - w.lane]);
          store(at<V>(p.grad_outputs, w.b, w.c) + (P - 1 - w.lane) * p.grad_outputs.time, g);
        }
      }
      if (wants_x) {
        V beyond[largest(Q, 1)], past = V(), g[M];
#pragma unroll
        for (int j = 0; j < Q; ++j) {
          const V sent = w.lane > j / M ? l[j % M] : next[j % M];
          beyond[j] = from_lane(sent, (w.lane + 1 + j / M) & 31);
        }
#pragma unroll
        for (int i = 0; i < NEAR; ++i) next[i] = l[i];
        auto later = [&](int i) { return i < M ? l[i] : beyond[i - M]; };
        if (is_first && w.lane < Q) {
#pragma unroll
          for (int j = 1; j <= Q; ++j)
            if (j > w.lane) mac(past, conj(filter.forward_tap(p, w, j, j - 1 - w.lane)), tile[j - 1 - w.lane]);
        }
#pragma unroll
        for (int i = 0; i < M; ++i) {
          g[i] = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) mac(g[i], conj(filter.forward_tap(p, w, j, t0 + offset + i + j)), later(i + j));
        }
        __syncwarp();
        if (t0 == 0 && w.lane < Q) tile[-1 - w.lane] = past;
        tile.write(g, offset);
        if (p.sum_x) {
          __syncthreads();
          sum_rows(w, p, tile, (V*)p.sum_x + (w.b * p.groups + w.group) * (p.length + Q) + Q + t0, t0 ? 0 : Q, t0);
        } else {
          w.sync(p.grad_x.access == ACROSS);
          if (p.grad_x.at) write_tile<X>(w, p, tile, p.grad_x, t0);
          if (p.grad_inputs.at && is_first && w.lane < Q)
            store(at<compute_t<X>>(p.grad_inputs, w.b, w.c) + (Q - 1 - w.lane) * p.grad_inputs.time, past);
        }
      }
      if (!wants_taps) continue;

      if (!p.shares_x) {
        w.sync(p.block_sync);
        read_tile<X>(w, p, source, p.x, t0, K);
        read_before<X>(w, p, source, p.x, p.inputs, Q, t0);
        w.sync(p.block_sync);
      }
      V x[F::REACH + M], v[M];
      source.template read<F::REACH>(x, offset);
      auto earlier = [&](int i, int j) { return x[F::REACH + i - j]; };
#pragma unroll
      for (int i = 0; i < M; ++i) {
        v[i] = V();
#pragma unroll
        for (int j = 0; j <= Q; ++j) mac(v[i], filter.forward_tap(p, w, j, t0 + offset + i), earlier(i, j));
      }
#pragma unroll
      for (int j = 0; j <= Q; ++j) {
        V g[M], part = V();
#pragma unroll
        for (int i = 0; i < M; ++i) {
          g[i] = V();
          if (VB) mac(g[i], conj(earlier(i, j)), l[i]);
          else mac(part, conj(earlier(i, j)), l[i]);
        }
        if (!VB) mac(sum_b[j], to<W>(1.0), to<W>(part));
        else if (p.grad_b.at) {
          Signal grad = F::varying(p.grad_b);
          grad.at = (B*)grad.at + j * p.grad_b.tap;
          write_lanes<B>(w, p, tile, g, grad, t0);
        }
      }
      if constexpr (P > 0) {
        if (!p.wants_a) continue;
        V mine[P], y[P + M];
        Solver<V, A, P, M, false, VA> solver{w.lane};
        solver.solve(v, before, mine, [&](int i, int k) { return VA ? gates[i] : filter.a[k]; }, table,
                     sequential);
#pragma unroll
        for (int k = 0; k < P; ++k) y[P - 1 - k] = mine[k];
#pragma unroll
        for (int i = 0; i < M; ++i) y[P + i] = v[i];
        // beyond the end y may overflow, and infinity times a lambda of zero is no zero
        if (t0 + K > p.length) {
#pragma unroll
          for (int i = 0; i < P + M; ++i)
            if (t0 + offset + i - P >= p.length) y[i] = V();
        }
#pragma unroll
        for (int k = 0; k < P; ++k) {
          V part = V();
#pragma unroll
          for (int i = 0; i < M; ++i) {
            if (VA) v[i] = V();
            mac(VA ? v[i] : part, conj(y[P - 1 - k + i]), l[i]);
          }
          mac(sum_a[k], to<W>(1.0), to<W>(part));
        }
        if (VA) write_lanes<A>(w, p, tile, v, F::varying(p.grad_a), t0);
      }
    }
    if (p.phase == 1 && first >= stop && w.active && w.lane < N) ((W*)p.ends)[place - offset + w.lane] = W();
    if (p.phase != 1 && p.sums) {
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
