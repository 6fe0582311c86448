// The gradient, from the last tile to the first.
//
// In each tile the adjoint recurrence gives lambda, as y is computed forward. Then y is computed again from x and the P
// samples of y before the run; where y is of half type, or x is not needed, y is read, for the reasons that
// tiles/backward.cuh gives. The gradient of a shared x is added up over the lanes, and by `fold` over the groups.

// whether it is so of a lane in the warp, or in its half
template <int LANES> __device__ inline bool any_lane(bool own) {
  return __ballot_sync(ALL, own) >> (threadIdx.x & (32 - LANES)) & (ALL >> (32 - LANES));
}
// g(first), g(first + 1), ... summed over lanes: each lane gets the sum whose place among COUNT its number has. The
// order keeps few values at once.
template <int COUNT, class V, class F> __device__ inline V sums_over_lanes(int first, int lane, F g) {
  if constexpr (COUNT == 1) return g(first);
  else {
    const V low = sums_over_lanes<COUNT / 2, V>(first, lane, g);
    const V high = sums_over_lanes<COUNT / 2, V>(first + COUNT / 2, lane, g);
    const bool upper = lane & (COUNT / 2);
    V own = upper ? high : low;
    add(own, from_lane(upper ? low : high, lane ^ (COUNT / 2)));
    return own;
  }
}

template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int S, bool SHARED, bool READS_Y>
__device__ void channels_backward(const Problem& p) {
  using C = Channels<X, Y, B, A, P, Q, VB, VA, S, SHARED, true>;
  using V = typename C::V;
  using W = typename C::W;
  using U = decltype(sum_of_channels(V()));
  constexpr int N = C::N;
  extern __shared__ __align__(16) unsigned char memory[];
  const int in_warp = threadIdx.x & 31;
  const int phase = int(p.phase), wants = phase == 1 ? 0 : int(p.wants);
  const bool wants_taps = wants & WANTS_TAPS, wants_feedback = wants & WANTS_FEEDBACK;

  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Lanes w(p, item, CHANNELS<Y>);
    const Board<C> board{memory, w.lane, w.warps - 1 - w.warp, w.warps};
    const Forwards<B, Q, VB> b(p, w);
    A a[C::P1], adjoint[C::P1];
    read_feedback<A, C::P1, VA>(a, p, w);
#pragma unroll
    for (int k = 0; k < C::P1; ++k) adjoint[k] = conj(a[k]);
    const Means means = means_of<C, A, P, S, VA>(p, w, board, adjoint, phase);
    Hand<C, A, C::P1, S, VA, true> hand{board, means.careful, means.in_turn};

    if (N > 0 && hand.board.rank == 0) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        W start = W();
        if (P > 0 && phase > 1 && !means.alone) start = load(w.own<const W>(p.starts, p, C::STATES) + k);
        const i64 t = i64(means.stop) * w.warps * S + k;
        if (P == 0 && t < p.length) start = to<W>(load(w.at<const Y>(p.grad_y) + t * p.grad_y.time));
        // other rows add nothing to the gradient of a shared x
        board.carried(0, k) = in_channels(w.active, start, W());
      }
    }
    const auto x_row = kept(w.at<const X>(p.x));
    const auto a_row = w.at<const A>(p.a);
    const auto grad_row = kept(w.at<const Y>(p.grad_y)), y_row = kept(w.at<const Y>(p.y));
    const auto grad_x_row = kept(w.at<X>(p.grad_x));
    const SumX<U> sums_of_x(p, w.group);
    const i64 late = p.length - p.last;  // from here on grad_last has more
    W sum_b[Q + 1] = {}, sum_a[C::P1] = {};

    auto left_of = [&](i64 t) { return t + S <= p.length ? S : t < p.length ? int(p.length - t) : 0; };
    // what precedes a lambda that is not finite in its row
    auto forget = [&](int n, int mine) {
      const i64 t0 = only_here(w.run(n)) * S;
      const int left = left_of(t0);
      if (SHARED && any_lane<C::LANES>(mine) && p.sum_x) {
        if (w.lane < left) store(sums_of_x.at + t0 + w.lane, nan_of<U>());
        if (t0 == 0 && w.lane < Q) store(sums_of_x.past(p) + w.lane, nan_of<U>());
      }
      mine &= w.active;
      if (!mine) return;
      auto lose = [&](const Signal& s, auto all, int count) {
        const auto at = in_channels(mine, all);
#pragma unroll 1
        for (int i = 0; s.at && i < count; ++i) store(at + i * s.time, nan_of<V>());
      };
      if constexpr (!SHARED)
        lose(rarely(p.grad_x), rarely(w).template at<X>(p.grad_x) + t0 * p.grad_x.time, left);
      if (VB)
        for (int j = 0; j <= Q; ++j) {
          const Signal s{p.grad_b.at, p.grad_b.batch, p.grad_b.channel, p.grad_b.time};
          lose(s, w.at<B>(s) + t0 * s.time + j * p.grad_b.tap, left);
        }
      if (VA) {
        const Signal s{p.grad_a.at, p.grad_a.batch, p.grad_a.channel, p.grad_a.time};
        lose(s, w.at<A>(s) + t0 * s.time, left);
      }
      if (t0 > 0) return;
      if constexpr (!SHARED) lose(rarely(p.grad_inputs), w.at<compute_t<X>>(p.grad_inputs), Q);
      lose(rarely(p.grad_outputs), w.at<V>(p.grad_outputs), P);
    };
    Source<C, X, Q, S, SHARED> source;
    Y grads[S];
    A coming[VA ? S + 1 : 1] = {};
    auto look_ahead = [&](int n) {
      if (n < means.first) return;
      const i64 t0 = w.run(n) * S;
      read_run(grads, grad_row, p.grad_y.time, t0, w.active ? p.length : 0);
      if constexpr (VA) read_run(coming, a_row, p.a.time, t0, p.length);
      if (SHARED && wants_taps) source.read(p, w, x_row, n);
    };
    auto finish = [&](int n) {
      if (SHARED && wants_taps && n >= means.first) source.keep(board, n);
    };
    look_ahead(means.stop - 1);
    finish(means.stop - 1);
    __syncthreads();

    for (int n = means.stop - 1; n >= means.first; --n) {
      const i64 t0 = w.run(n) * S;
      V l[S];
#pragma unroll
      for (int i = 0; i < S; ++i) l[i] = value(grads[i]);
      if (p.grad_last.at && t0 + S > late && w.active) {
#pragma unroll 1
        for (int k = 0; k < int(p.last); ++k) {
          const int at_sample = only_here(int(late - t0)) + k;
          const V more = load(w.at<const state_t<Y>>(rarely(p.grad_last)) + k * p.grad_last.time);
#pragma unroll
          for (int i = 0; i < S; ++i)
            if (i == at_sample) add(l[i], more);
        }
      }
      if (CHANNELS<Y> > 1 && w.active == 1)
#pragma unroll
        for (int i = 0; i < S; ++i) l[i] = in_channels(1, l[i], V());
      A gates[VA ? S + 1 : 1] = {};
      if constexpr (VA) {
#pragma unroll
        for (int i = 0; i <= S; ++i) gates[i] = coming[i];
      }
      look_ahead(n - 1);
      // what is needed after the runs: y before each sample, or before the run, and x
      Y read_y[READS_Y ? S : 1] = {};
      V earlier[C::P1] = {};
      if (P > 0 && wants_feedback) {
        read_past<Y, state_t<Y>, P>(earlier, p, w, y_row, p.y, p.outputs, t0);
        if constexpr (READS_Y) read_run(read_y, y_row, p.y.time, t0, p.length);
      }
      if (!SHARED && wants_taps) source.read(p, w, x_row, n);

      V after[C::N1] = {};
      if constexpr (P > 0) {
        auto tap = [&](int i, int k) { return VA ? conj(gates[VA ? i + 1 : 0]) : adjoint[k]; };
        hand.take(l, tap, [&] { finish(n - 1); }, [&](int mine) { forget(n + 1, mine); });
        if (phase == 1) {
          hand.skip();
          continue;
        }
        hand.run([&](V(&h)[C::N1]) {
          V newest[C::P1];
#pragma unroll
          for (int k = 0; k < C::N1; ++k) after[k] = h[k];
#pragma unroll
          for (int k = 0; k < P; ++k) newest[k] = h[k];
          run_samples<true, false>(l, newest, tap, [&](int i, V value) { l[i] = value; });
#pragma unroll
          for (int k = 0; k < N; ++k) h[k] = l[k];
        });
      } else if constexpr (N > 0) hand.pass(l, after, [&] { finish(n - 1); });
      else {
        finish(n - 1);
        if (SHARED) __syncthreads();
      }
      auto later = [&](int i) { return i < S ? l[i] : after[i - S]; };

      if (wants & WANTS_X) {
        auto g = [&](int i) {
          V sum = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) mac(sum, conj(b(j, t0 + i + j)), later(i + j));
          return sum;
        };
        if constexpr (SHARED) {
          U sum = sums_over_lanes<S, U>(0, in_warp, [&](int i) { return sum_of_channels(g(i)); });
#pragma unroll
          for (int d = S; d < C::LANES; d *= 2) add(sum, from_lane(sum, in_warp ^ d));
          if (w.lane < left_of(t0)) store(sums_of_x.at + t0 + w.lane, sum);
        } else if (p.grad_x.at) {
          stream_run<S>(grad_x_row, p.grad_x.time, t0, w.active ? left_of(t0) : 0, g);
        }
      }
      if (t0 < i64(C::RUNS) * S) {
        // gradients of the past; u: how long before the first sample
        if (wants & WANTS_X) {
#pragma unroll
          for (int u = 0; u < Q; ++u) {
            V sum = V();
#pragma unroll
            for (int j = u + 1; j <= Q; ++j) mac(sum, conj(b(j, j - 1 - u)), later(j - 1 - u));
            if constexpr (SHARED) {
              const U all = sum_of_lanes<C::LANES>(sum_of_channels(sum), in_warp);
              if (t0 == 0 && w.lane == 0) store(sums_of_x.past(p) + (Q - 1 - u), all);
            } else if (t0 == 0 && p.grad_inputs.at && w.active)
              store(w.at<compute_t<X>>(rarely(p.grad_inputs)) + (Q - 1 - u) * p.grad_inputs.time, sum);
          }
        }
        if (P > 0 && t0 == 0 && p.grad_outputs.at && w.active) {
#pragma unroll
          for (int u = 0; u < P; ++u) {
            V sum = V();
#pragma unroll
            for (int k = u; k < P; ++k) mac(sum, conj(VA ? gates[VA ? k - u : 0] : a[k]), l[k - u]);
            store(w.at<V>(rarely(p.grad_outputs)) + (P - 1 - u) * p.grad_outputs.time, sum);
          }
        }
      }
      if (!wants_taps && !(READS_Y && wants_feedback)) continue;

      const int left = left_of(t0);
      auto gather = [&](auto whole) {
        V part_b[Q + 1] = {}, part_a[C::P1] = {}, before[C::P1];
#pragma unroll
        for (int k = 0; k < C::P1; ++k) before[k] = earlier[C::P1 - 1 - k];
        typename C::XV x[Q + S] = {};
        if (wants_taps) source.take(x, board, w, n);
        const int stop = w.active ? left : 0, stop_b = p.grad_b.at ? stop : 0, stop_a = wants_feedback ? stop : 0;
        const i64 time_b = only_here(p.grad_b.time), time_a = only_here(p.grad_a.time);
        const auto grad_b = w.at<B>(p.grad_b) + t0 * time_b;
        auto grad_a = w.at<A>(p.grad_a) + t0 * time_a;
#pragma unroll
        for (int i = 0; i < S; ++i) {
          V v = V(), g = V();
#pragma unroll
          for (int j = 0; j <= Q; ++j) {
            if (!READS_Y) mac(v, b(j, t0 + i), x[Q + i - j]);
            if (!VB) mac(part_b[j], conj(x[Q + i - j]), l[i]);
            else {
              V of_tap = V();
              mac(of_tap, conj(x[Q + i - j]), l[i]);
              if (i < stop_b) stream(grad_b + i * time_b + j * p.grad_b.tap, of_tap);
            }
          }
          if constexpr (P > 0) {
            mac(g, conj(before[0]), l[i]);
            if (VA && i < stop_a) stream(grad_a, g);
            if (VA) grad_a += time_a;
#pragma unroll
            for (int k = P - 1; k >= 0; --k) {
              if (!VA) mac(part_a[k], conj(before[k]), l[i]);
              if (!READS_Y) mac(v, VA ? gates[VA ? i : 0] : a[k], before[k]);
            }
#pragma unroll
            for (int k = P - 1; k > 0; --k) before[k] = before[k - 1];
            before[0] = READS_Y ? to<V>(value(read_y[READS_Y ? i : 0])) : v;
            // beyond the end y may overflow, and infinity times a lambda of zero is no zero
            if (!whole() && i >= left) before[0] = V();
          }
        }
#pragma unroll
        for (int j = 0; j <= Q; ++j) add(sum_b[j], to<W>(part_b[j]));
#pragma unroll
        for (int k = 0; k < P; ++k) add(sum_a[k], to<W>(part_a[k]));
      };
      if (left == S) gather([] { return true; });
      else gather([] { return false; });
    }
    if constexpr (P > 0) {
      hand.leave([&](int mine) { forget(means.first, mine); });
      if (phase == 1 && hand.is_last() && w.active) hand.tell(w.own<W>(p.ends, p, C::STATES));
    } else __syncthreads();
    if (phase != 1 && p.sums) {
      const auto sums = w.own<W>(p.sums, p, Q + 1 + P);
#pragma unroll
      for (int n = 0; n < Q + 1 + P; ++n) {
        W* parts = (W*)memory + w.lane;
        parts[w.warp * C::LANES] = n <= Q ? sum_b[n <= Q ? n : 0] : sum_a[n > Q ? n - Q - 1 : 0];
        __syncthreads();
        if (w.warp == 0) {
          W sum = W();
          for (int of = 0; of < w.warps; ++of) add(sum, parts[of * C::LANES]);
          if (w.active) store(sums + n, sum);
        }
        __syncthreads();
      }
    }
  }
}
