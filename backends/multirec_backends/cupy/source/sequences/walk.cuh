// Constant coefficients, P and Q up to 4: one thread a row, with all that it remembers in registers.
//
// WALK samples of each signal are on their way at once.

constexpr int WALK = 8;

// values[0] is the newest
template <class V, int N> __device__ inline void push(V (&values)[N], V value) {
#pragma unroll
  for (int k = N - 1; k > 0; --k) values[k] = values[k - 1];
  values[0] = value;
}
template <int COUNT, class V, class S> __device__ inline void take_taps(V (&to)[COUNT], const Taps& taps, const S* from) {
#pragma unroll
  for (int k = 0; k < COUNT; ++k) to[k] = load(from + k * taps.tap);
}

template <class X, class Y, class B, class A, int P, int Q> __device__ void sequences_walk_forward(const Problem& p) {
  using V = compute_t<Y>;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x;
    if (c >= p.channels) continue;
    const Marks marks(p, b);
    compute_t<B> of_x[Q + 1] = {};
    compute_t<A> of_y[P + 1] = {};
    if (p.b.at) take_taps(of_x, p.b, at<const B>(p.b, b, c));
#pragma unroll
    for (int k = 0; k < P; ++k) of_y[k] = tap<A>(p.a, b, c, 0, k);
    V past_x[Q + 1] = {}, past_y[P + 1] = {};
    const auto take = [&](i64 s, bool given) {
#pragma unroll
      for (int k = 0; k < P; ++k) past_y[k] = given ? past_output<Y>(p, s, c, k) : V();
#pragma unroll
      for (int j = 0; j < Q; ++j) past_x[j] = given ? input<X, V>(p, b, c, 0, j + 1, 0, s) : V();
    };
    const auto leave = [&](i64 s) {
#pragma unroll
      for (int k = 0; k < P; ++k) store(at<state_t<Y>>(p.last_y, s, c) + (P - 1 - k) * p.last_y.time, past_y[k]);
    };
    const auto skip = [&](i64 s) {
      take(s, true);
      leave(s);
    };
    int previous = 0;
    for (i64 from = 0; from < p.length; from += WALK) {
      V x[WALK];
      int numbers[WALK];
#pragma unroll
      for (int u = 0; u < WALK; ++u) {
        const bool has = marks.has(from + u);
        x[u] = has ? to<V>(load(at<const X>(p.x, b, c) + (from + u) * p.x.time)) : V();
        numbers[u] = has ? marks.of(from + u) : -1;
      }
#pragma unroll
      for (int u = 0; u < WALK; ++u) {
        const i64 t = from + u;
        if (t >= p.length) break;
        V sum = V();
        if (marks.has(t)) {
          if (t == marks.first || numbers[u] != previous) {
            if (marks.count) {
              if (t > marks.first) leave(previous);
              marks.skipped(t, skip);
            }
            previous = numbers[u];
            take(marks.state(b, previous), marks.takes_state(previous));
          }
          if (p.b.at) mac(sum, of_x[0], x[u]);
          else sum = x[u];
#pragma unroll
          for (int j = 1; j <= Q; ++j) mac(sum, of_x[j], past_x[j - 1]);
#pragma unroll
          for (int k = P - 1; k >= 0; --k) mac(sum, of_y[k], past_y[k]);
          push(past_x, x[u]);
          push(past_y, sum);
        }
        store(at<Y>(p.y, b, c) + t * p.y.time, sum);
      }
    }
    const bool empty = marks.first == marks.end;
    if (marks.count) {
      if (!empty) leave(previous);
      marks.skipped(marks.end, skip);
    } else {
      if (empty || previous != marks.after) take(b, empty);
      leave(b);
    }
  }
}

template <class X, class Y, class B, class A, int P, int Q> __device__ void sequences_walk_backward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  const bool wants_taps = (p.wants & WANTS_TAPS) && p.b.at, wants_feedback = p.wants & WANTS_FEEDBACK;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x;
    const bool active = c < p.channels;
    const Marks marks(p, b);
    compute_t<B> of_x[Q + 1] = {};
    compute_t<A> of_y[P + 1] = {};
    if (active && p.b.at) take_taps(of_x, p.b, at<const B>(p.b, b, c));
#pragma unroll
    for (int k = 0; k < P; ++k)
      if (active) of_y[k] = tap<A>(p.a, b, c, 0, k);
    constexpr int DEEP = largest(P, Q + 1);
    V later[DEEP] = {};  // lambdas, those beyond the sequence zero
    W sums_x[Q + 1] = {}, sums_y[P + 1] = {};
    // all that a sequence gives to its state, with the lambdas from its first sample on; it has `ahead` of them
    const auto before = [&](i64 s, i64 ahead, bool takes, bool leaves) {
      if (!active || !takes) return;
#pragma unroll
      for (int n = 0; n < P; ++n) {
        V sum = leaves && n + ahead < P ? given_last<Y>(p, s, c, n + ahead) : V();
        const V past = wants_feedback && ahead ? past_output<Y>(p, s, c, n) : V();
#pragma unroll
        for (int k = n; k < P; ++k) {
          mac(sum, conj(of_y[k]), later[k - n]);
          V product = V();
          mac(product, conj(past), later[k - n]);
          add(sums_y[k], to<W>(product));
        }
        if (p.grad_outputs.at) store(at<V>(p.grad_outputs, s, c) + (P - 1 - n) * p.grad_outputs.time, sum);
      }
#pragma unroll
      for (int n = 0; n < Q; ++n) {
        V sum = V();
        const V past = wants_taps && ahead ? input<X, V>(p, b, c, 0, n + 1, 0, s) : V();
#pragma unroll
        for (int j = n + 1; j <= Q; ++j) {
          mac(sum, conj(of_x[j]), later[j - 1 - n]);
          V product = V();
          mac(product, conj(past), later[j - 1 - n]);
          add(sums_x[j], to<W>(product));
        }
        if (!p.grad_inputs.at) continue;
        // of an x that rows share, the fold adds them up
        if (p.sum_x) store(at<V>(p.grad_inputs, s, c) + (Q - 1 - n) * p.grad_inputs.time, sum);
        else store(at<compute_t<X>>(p.grad_inputs, s, c) + (Q - 1 - n) * p.grad_inputs.time, sum);
      }
    };
    const auto forget = [&] {
#pragma unroll
      for (int k = 0; k < DEEP; ++k) later[k] = V();
    };
    const auto skip = [&](i64 s) {
      forget();
      before(s, 0, true, true);
    };
    const bool empty = marks.first == marks.end;
    if (marks.count) marks.skipped(marks.end, skip);
    else if (empty || marks.of(marks.first) != marks.before) before(b, 0, true, empty);
    int number = 0;
    i64 ahead = 0;
    const auto close = [&](i64 t) {
      before(marks.state(b, number), ahead, marks.takes_state(number), marks.leaves_state(number));
      if (marks.count) marks.skipped(t, skip);
    };
    for (i64 from = (p.length - 1) / WALK * WALK; from >= 0; from -= WALK) {
      V given[WALK], x[WALK], y[WALK], sum_x[Q + 1] = {}, sum_y[P + 1] = {};
      int numbers[WALK];
#pragma unroll
      for (int u = 0; u < WALK; ++u) {
        const i64 t = from + u;
        const bool has = marks.has(t), loads = has && active;
        given[u] = loads ? load(at<const Y>(p.grad_y, b, c) + t * p.grad_y.time) : V();
        x[u] = loads && wants_taps ? to<V>(load(at<const X>(p.x, b, c) + t * p.x.time)) : V();
        y[u] = loads && wants_feedback ? load(at<const Y>(p.y, b, c) + t * p.y.time) : V();
        numbers[u] = has ? marks.of(t) : -1;
      }
#pragma unroll
      for (int u = WALK - 1; u >= 0; --u) {
        const i64 t = from + u;
        if (t >= p.length) continue;
        V g = V();
        if (marks.has(t)) {
          if (t + 1 == marks.end || numbers[u] != number) {
            if (t + 1 < marks.end) close(t + 1);
            forget();
            number = numbers[u], ahead = 0;
          }
          V l = given[u];
          if (active && ahead < P && marks.leaves_state(number)) add(l, given_last<Y>(p, marks.state(b, number), c, ahead));
#pragma unroll
          for (int k = P - 1; k >= 0; --k) {
            mac(l, conj(of_y[k]), later[k]);
            mac(sum_y[k], conj(y[u]), later[k]);
          }
          push(later, l);
          ++ahead;
          if (!p.b.at) g = l;
#pragma unroll
          for (int j = 0; j <= Q; ++j) {
            if (p.b.at) mac(g, conj(of_x[j]), later[j]);
            mac(sum_x[j], conj(x[u]), later[j]);
          }
        }
        if (p.sum_x) {
          g = sum_of_lanes(g, threadIdx.x);
          if (threadIdx.x == 0) SumX<V>(p, item).at[t] = g;
        } else if (active && p.grad_x.at) store(at<X>(p.grad_x, b, c) + t * p.grad_x.time, g);
      }
#pragma unroll
      for (int j = 0; j <= Q; ++j) add(sums_x[j], to<W>(sum_x[j]));
#pragma unroll
      for (int k = 0; k < P; ++k) add(sums_y[k], to<W>(sum_y[k]));
    }
    if (!empty) close(marks.first);
    if (!p.sums || !active) continue;
    W* const sums = (W*)p.sums + (b * p.channels + c) * (Q + 1 + P);
#pragma unroll
    for (int j = 0; j <= Q; ++j) sums[j] = sums_x[j];
#pragma unroll
    for (int k = 0; k < P; ++k) sums[Q + 1 + k] = sums_y[k];
  }
}
