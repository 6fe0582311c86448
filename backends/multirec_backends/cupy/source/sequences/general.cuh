// Any order, any layout: one thread a row, one sample after another, as the sequential kernels.

template <class X, class Y, class B, class A> __device__ void sequences_forward(const Problem& p) {
  using V = compute_t<Y>;
  const i64 order = p.order, q = p.input_order;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x;
    if (c >= p.channels) continue;
    const Marks marks(p, b);
    Ring<V> past(p, b * p.channels + c, order);
    const auto take = [&](i64 s, bool given) {
      for (i64 k = order - 1; k >= 0; --k) past.push(given ? past_output<Y>(p, s, c, k) : V());
    };
    const auto leave = [&](i64 s) {
      for (i64 k = 0; k < order; ++k)
        store(at<state_t<Y>>(p.last_y, s, c) + (order - 1 - k) * p.last_y.time, past[k]);
    };
    const auto skip = [&](i64 s) {
      take(s, true);
      leave(s);
    };
    bool given = true;
    i64 age = 0, s = b;
    for (i64 t = 0; t < p.length; ++t) {
      V sum = V();
      if (marks.has(t)) {
        if (marks.begins(t)) {
          if (marks.count) marks.skipped(t, skip);
          given = marks.takes_state(marks.of(t));
          s = marks.state(b, marks.of(t));
          take(s, given);
          age = 0;
        }
        if (p.b.at)
          for (i64 j = 0; j <= q && (given || j <= age); ++j) mac(sum, tap<B>(p.b, b, c, t, j), input<X, V>(p, b, c, t, j, age, s));
        else sum = to<V>(load(at<const X>(p.x, b, c) + t * p.x.time));
        for (i64 k = order - 1; k >= 0; --k)
          if (given || k < age) mac(sum, tap<A>(p.a, b, c, t, k), past[k]);
        if (order) past.push(sum);
        ++age;
        if (marks.count && marks.ends(t)) leave(s);
      }
      store(at<Y>(p.y, b, c) + t * p.y.time, sum);
    }
    if (marks.count) marks.skipped(marks.end, skip);
    else {
      if (marks.first == marks.end) take(b, true);
      else if (marks.of(marks.end - 1) != marks.after) take(b, false);
      leave(b);
    }
  }
}

template <class X, class Y, class B, class A> __device__ void sequences_backward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  const i64 order = p.order, q = p.input_order, deepest = order > q ? order : q;
  const bool wants_taps = (p.wants & WANTS_TAPS) && p.b.at, wants_feedback = p.wants & WANTS_FEEDBACK;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x, row = b * p.channels + c;
    const bool active = c < p.channels;
    const Marks marks(p, b);
    W* sums = p.sums && active ? (W*)p.sums + row * (q + 1 + order) : nullptr;
    if (sums)
      for (i64 n = 0; n < q + 1 + order; ++n) sums[n] = W();
    Ring<V> later(p, active ? row : 0, deepest + 1);
    // the gradient of the state before a sequence, of whose samples from t on `ahead` lambdas are known
    const auto before = [&](i64 s, i64 t, i64 ahead, bool leaves) {
      for (i64 n = 0; n < order && p.grad_outputs.at; ++n) {
        V sum = leaves && n + ahead < order ? given_last<Y>(p, s, c, n + ahead) : V();
        for (i64 k = n; k < order && k - n < ahead; ++k) mac(sum, conj(tap<A>(p.a, b, c, t + k - n, k)), later[k - n]);
        store(at<V>(p.grad_outputs, s, c) + (order - 1 - n) * p.grad_outputs.time, sum);
      }
      for (i64 n = 0; n < q && p.grad_inputs.at; ++n) {
        V sum = V();
        for (i64 j = n + 1; j <= q && j - 1 - n < ahead; ++j)
          mac(sum, conj(tap<B>(p.b, b, c, t + j - 1 - n, j)), later[j - 1 - n]);
        // of an x that rows share, the fold adds them up
        if (p.sum_x) store(at<V>(p.grad_inputs, s, c) + (q - 1 - n) * p.grad_inputs.time, sum);
        else store(at<compute_t<X>>(p.grad_inputs, s, c) + (q - 1 - n) * p.grad_inputs.time, sum);
      }
    };
    const auto skip = [&](i64 s) { before(s, 0, 0, true); };
    if (active && marks.count) marks.skipped(marks.end, skip);
    const bool empty = marks.first == marks.end;
    if (active && !marks.count && (empty || marks.of(marks.first) != marks.before)) before(b, 0, 0, empty);
    i64 ahead = 0;
    for (i64 t = p.length - 1; t >= 0; --t) {
      V g = V();
      if (active) {
        V l = V();
        i64 age = 0, s = b;
        bool given = false;
        const bool has = marks.has(t);
        if (has) {
          const int number = marks.of(t);
          if (marks.ends(t)) ahead = 0;
          given = marks.takes_state(number);
          s = marks.state(b, number);
          l = load(at<const Y>(p.grad_y, b, c) + t * p.grad_y.time);
          if (marks.leaves_state(number) && ahead < order) add(l, given_last<Y>(p, s, c, ahead));
          for (i64 k = 0; k < order && k < ahead; ++k) mac(l, conj(tap<A>(p.a, b, c, t + 1 + k, k)), later[k]);
          if (wants_taps || wants_feedback)
            while (age < deepest && t - age > marks.first && marks.of(t - age - 1) == number) ++age;
        }
        for (i64 j = 0; j <= q && wants_taps; ++j) {
          V product = V();
          if (has && (given || j <= age)) mac(product, conj(input<X, V>(p, b, c, t, j, age, s)), l);
          if (p.grad_b.at) store(at<B>(p.grad_b, b, c) + t * p.grad_b.time + j * p.grad_b.tap, product);
          else if (sums) add(sums[j], to<W>(product));
        }
        for (i64 k = 0; k < order && wants_feedback; ++k) {
          V product = V();
          if (has && k < age) mac(product, conj(load(at<const Y>(p.y, b, c) + (t - 1 - k) * p.y.time)), l);
          else if (has && given) mac(product, conj(past_output<Y>(p, s, c, k - age)), l);
          if (p.grad_a.at) store(at<A>(p.grad_a, b, c) + t * p.grad_a.time + k * p.grad_a.tap, product);
          else if (sums) add(sums[q + 1 + k], to<W>(product));
        }
        if (has) {
          later.push(l);
          ++ahead;
          if (!p.b.at) g = l;
          else
            for (i64 j = 0; j <= q && j < ahead; ++j) mac(g, conj(tap<B>(p.b, b, c, t + j, j)), later[j]);
          if (marks.begins(t)) {
            const int number = marks.of(t);
            if (given) before(s, t, ahead, marks.leaves_state(number));
            if (marks.count) marks.skipped(t, skip);
          }
        }
      }
      if (p.sum_x) {
        g = sum_of_lanes(g, threadIdx.x);
        if (threadIdx.x == 0) SumX<V>(p, item).at[t] = g;
      } else if (active && p.grad_x.at) store(at<X>(p.grad_x, b, c) + t * p.grad_x.time, g);
    }
  }
}
