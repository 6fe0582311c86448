// The fast gradient. It walks the tiles from the last to the first.
//
// In each tile the adjoint recurrence gives lambda; y is computed again from x and the p samples of y before the
// tile, which is cheaper than reading all of y; a y of half type is read, and so is one where x is not needed.
// What it writes: the gradients of x and of the state, the gradients of varying coefficients sample by sample, and those
// of constant ones as sums over time: in the kernel's precision within a lane's samples of a tile, in double across tiles
// and lanes. `fold` adds up the rest, in a fixed order.

// Writes the samples that lanes hold, by way of a tile; what it held is lost.
template <class S, class T, class V, int M>
__device__ void write_lanes(const Place& w, const T& tile, const V (&v)[M], const Signal& s, bool across) {
  const auto out = tile.template as<S>();
  const Line<S, decltype(out)::E> row(s, w);
  w.sync(across);
  out.write(v, w.lane * M, row.skew);
  w.sync(across);
  send(w, out, s, row);
}

// READS_Y: of half types, since y from a rounded start would be worse than y rounded sample by sample, whose errors
// average out; and where x is not needed for anything else
template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE, bool READS_Y>
__device__ void tiles_backward(const Problem& p) {
  using F = Filter<X, Y, B, A, P, Q, VB, VA, LANE>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int M = F::M, K = F::K, N = largest(P, Q), STATES = VA ? 2 : N;
  extern __shared__ __align__(16) unsigned char memory[];
  // without x, where it is not needed for anything but y
  constexpr bool HAS_X = !READS_Y || !same<Y, state_t<Y>>;
  const int phase = int(p.phase), wants = phase == 1 ? 0 : int(p.wants);
  const bool shares_x = HAS_X && int(p.shares_x), across = crosses(p), adds_rows = (wants & WANTS_X) && p.sum_x;
  const bool reads_x = HAS_X && (wants & WANTS_TAPS), reads_y = READS_Y && (wants & WANTS_FEEDBACK);

  if (EXACT<V> && P > 0 && !VA && phase == 3 && !runs_again(p)) return;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    Place w(p, item);
    const F filter(p, w);
    const auto shared = Shared<F, A, P>::template of<HAS_X, READS_Y, VA || VB>(memory, w, shares_x);
    const auto tile = shared.tile;
    const auto table = shared.table;
    const auto varying = shared.varying;
    const int offset = w.lane * M;

    const i64 place = (w.row * p.segments + w.segment) * STATES;
    const Manner manner = manner_of<F, VA, A, P>(p, w, table, phase, place);
    const bool alone = manner.alone;
    const int care = only_here(int(manner.care));
    const int first = manner.first, stop = manner.stop;

    // `next`: what follows the tile, as lanes hold it: lambda, of which feedforward reaches Q samples
    constexpr int NEAR = Q < M ? Q : M;
    // a state in double; free after `reach_large`
    auto wide_of = [&] { return EXACT<V> || care != WITH_CARE ? nullptr : (W*)table[5].entries; };
    V state[F::P1] = {}, next[largest(NEAR, 1)] = {};
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const W start = phase > 1 && !alone ? ((const W*)p.starts)[place + k] : W();
      state[k] = to<V>(start);
      if (wide_of() && w.lane == 0) wide_of()[k] = start;
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
    const Line<const X, F::RowOfX::E> x_row(p.x, w);
    const Line<const Y, F::RowOfY::E> grad_row(p.grad_y, w), y_row(p.y, w);
    const Line<X, Tile<X, M, 0, 0>::E> grad_x_row(p.grad_x, w);
    const Line<const A, F::RowOfA::E> gates_row(F::varying(p.a), w);
    const SumX<V> sums_of_x(p, w.b * p.groups + w.group);
    W sum_b[Q + 1] = {}, sum_a[F::P1] = {};
    auto product = one<typename F::WA>();

    auto source = [&](int n) { return shared.source.of(shares_x ? n & 1 : 0); };
    auto fetch_grad = [&](int n) {
      fetch<Y>(w, p, i64(n) * K, tile.template as<Y>(), p.grad_y, grad_row, Signal(), 0, 0, false);
      if constexpr (VA) fetch<A>(w, p, i64(n) * K, varying, F::varying(p.a), gates_row, Signal(), 0, 1, false);
    };
    auto fetch_x = [&](int n) {
      fetch<X>(w, p, i64(n) * K, source(n), p.x, x_row, p.inputs, Q, 0, shares_x);
    };
    auto fetch_y = [&](int n) { fetch<Y>(w, p, i64(n) * K, shared.past, p.y, y_row, Signal(), P, 0, false); };
    if (first < stop) {
      fetch_grad(stop - 1);
      if (reads_x) fetch_x(stop - 1);
      if (reads_y) fetch_y(stop - 1);
    }
    for (int n = stop - 1; n >= first; --n) {
      const bool is_first = n == 0;
      V l[M], after[F::P1], before[F::P1] = {};  // lambda; that from which the lane's was computed; y before the tile
      A gates[M + F::RowOfA::E] = {};
      {
        w.template enter<K>(p, n);
        if ((wants & WANTS_FEEDBACK) && !READS_Y) {
          auto read = [&](const auto* from, i64 time) {
#pragma unroll
            for (int k = 0; k < P; ++k) before[k] = load(from -= time);
          };
          if (!is_first) read(y_row.at + w.t0 * p.y.time, p.y.time);
          else if (p.outputs.at)
            read(at<const state_t<Y>>(p.outputs, w.b, w.c) + P * p.outputs.time, p.outputs.time);
        }
        copies_arrived();
        w.sync(across || (shares_x && !adds_rows));
        tile.template as<Y>().template read<0>(l, offset, grad_row.skew);
        if constexpr (VA) varying.template read<0>(gates, offset, gates_row.skew);
        if (p.last && w.t0 + K > p.length - p.last) {
          __syncwarp();
          tile.write(l, offset);
          __syncwarp();
          const i64 u = p.length - p.last + w.lane - w.t0;
          if (w.lane < p.last && u >= 0 && u < K)
            add(tile[int(u)], load(at<const state_t<Y>>(rarely(p.grad_last), w.b, w.c) + w.lane * p.grad_last.time));
          __syncwarp();
          tile.template read<0>(l, offset);
        }
        if constexpr (P > 0) {
          typename F::template Solves<true> solver{w.lane};
          auto tap = [&](int i, int k) { return conj(VA ? gates[i + 1] : filter.a[k]); };
          if (!VA && care) {
            W* const wide = wide_of();
            __syncwarp();
            tile.write(l, offset);
            solver.solve_carefully(tile, state, after, tap, table, wide, care == IN_TURN);
            tile.template read<0>(l, offset);
            if (phase == 1 && wide) {
              __syncwarp();
              if (w.active && w.lane == 0)
                for (int k = 0; k < P; ++k) ((W*)p.ends)[place + k] = is_finite(state[0]) ? wide[k] : to<W>(state[k]);
            }
          } else solver.solve(l, state, after, tap, table, [] {}, phase == 1 && (N == P || n > first));
          if (VA && phase == 1) product = times(product, solver.product);
        }
        if (phase == 1 && n == first && w.active) {
#pragma unroll
          for (int i = 0; i < (N < M ? N : M); ++i)
            if (offset + i >= P && offset + i < N) ((W*)p.ends)[place + offset + i] = to<W>(l[i]);
        }
      }
      if (phase != 1) {
        V past = V();
        if (is_first) {
          __syncwarp();
          tile.write(l, offset);
          __syncwarp();
          if constexpr (P > 0) {
            if (p.grad_outputs.at && w.active && w.lane < P) {
              V g = V();
#pragma unroll
              for (int k = 0; k < P; ++k)
                if (k >= w.lane) mac(g, conj(VA ? varying[k - w.lane + gates_row.moved()] : filter.a[k]), tile[k - w.lane]);
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
          __syncwarp();
          if (adds_rows) {
            if (is_first && w.lane < Q) tile[-1 - w.lane] = past;
            tile.write(g, offset);
            __syncthreads();
            sum_rows<Q>(w, p, tile, sums_of_x);
            __syncthreads();
          } else {
            const auto out = tile.template as<X>();
            out.write(g, offset, grad_x_row.skew);
            w.sync(across);
            if (p.grad_x.at) send(w, out, p.grad_x, grad_x_row);
            if (p.grad_inputs.at && is_first && w.active && w.lane < Q)
              store(at<compute_t<X>>(p.grad_inputs, w.b, w.c) + (Q - 1 - w.lane) * p.grad_inputs.time, past);
          }
        }
      }
      w.sync(across);
      if (n > first) fetch_grad(n - 1);
      if (!reads_x && !reads_y) continue;

      V v[M];
      if constexpr (HAS_X) {
        V x[F::REACH + M];
        if (reads_x) {
          source(n).template read<F::REACH>(x, offset, x_row.skew);
          if (!shares_x) w.sync(across);
          if (n > first) fetch_x(n - 1);
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
              write_lanes<B>(w, shared.aside, g, grad, across);
            }
          }
        }
      }
      if constexpr (P > 0) {
        if (!(wants & WANTS_FEEDBACK)) continue;
        V y[F::REACH_Y + M];
        if constexpr (READS_Y) {
          shared.past.template read<F::REACH_Y>(y, offset, y_row.skew);
          w.sync(across);
          if (n > first) fetch_y(n - 1);
          if (is_first && p.outputs.at) {
#pragma unroll
            for (int k = 0; k < P; ++k)
              if (offset <= k)
                y[F::REACH_Y - 1 - k] =
                    load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k + offset) * p.outputs.time);
          }
        } else {
          V mine[P];
          typename F::template Solves<false> solver{w.lane};
          auto tap = [&](int i, int k) { return VA ? gates[i] : filter.a[k]; };
          solver.solve(v, before, mine, tap, table, [&] {
            if (!care) return;
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
        if (VA) write_lanes<A>(w, shared.aside, v, F::varying(p.grad_a), across);
      }
    }
    if ((EXACT<V> && !VA ? p.ends != nullptr : phase == 1 && !(care && stop > first)) && w.active && w.lane == 0) {
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
