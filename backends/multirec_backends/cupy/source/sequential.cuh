// The general kernels: any order, coefficients that vary in any way. One thread a row, one sample after another.

template <class X, class Y, class B, class A> __device__ void sequential_forward(const Problem& p) {
  using V = compute_t<Y>;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x;
    if (c >= p.channels) continue;
    Ring<V> past(p, b * p.channels + c, p.order);
    for (i64 k = p.order - 1; k >= 0; --k)
      past.push(p.outputs.at ? to<V>(load(at<const state_t<Y>>(p.outputs, b, c) + (p.order - 1 - k) * p.outputs.time)) : V());
    for (i64 t = 0; t < p.length; ++t) {
      V sum = driven<X, Y, B>(p, b, c, t);
      for (i64 k = p.order - 1; k >= 0; --k) mac(sum, tap<A>(p.a, b, c, t, k), past[k]);
      if (p.order) past.push(sum);
      store(at<Y>(p.y, b, c) + t * p.y.time, sum);
      const i64 late = t - (p.length - p.last);
      if (p.last_y.at && late >= 0) store(at<state_t<Y>>(p.last_y, b, c) + late * p.last_y.time, sum);
    }
    write_last_x<X>(p, b, c, 0, 1);
  }
}

template <class X, class Y, class B, class A> __device__ void sequential_backward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  const i64 order = p.order, q = p.input_order;
  const bool wants_taps = (p.wants & WANTS_TAPS) && p.b.at, wants_feedback = p.wants & WANTS_FEEDBACK;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + threadIdx.x, row = b * p.channels + c;
    const bool active = c < p.channels;
    W* sums = p.sums && active ? (W*)p.sums + row * (q + 1 + order) : nullptr;
    if (sums)
      for (i64 n = 0; n < q + 1 + order; ++n) sums[n] = W();
    // later[0] is lambda[t + 1]; beyond the block it is zero
    const i64 size = (order > q ? order : q) + 1;
    Ring<V> later(p, active ? row : 0, size);
    if (active)
      for (i64 n = 0; n < size; ++n) later.push(V());
    for (i64 t = p.length - 1; t >= -q; --t) {
      V l = V();
      if (active && t >= 0) {
        l = given<Y>(p, b, c, t);
        for (i64 k = 0; k < order && t + 1 + k < p.length; ++k) mac(l, conj(tap<A>(p.a, b, c, t + 1 + k, k)), later[k]);
        for (i64 j = 0; j <= q && wants_taps; ++j) {
          V g = V();
          mac(g, conj(to<V>(sample<X, X>(p.x, p.inputs, q, b, c, t - j))), l);
          if (p.grad_b.at) store(at<B>(p.grad_b, b, c) + t * p.grad_b.time + j * p.grad_b.tap, g);
          else if (sums) add(sums[j], to<W>(g));
        }
        for (i64 k = 0; k < order && wants_feedback; ++k) {
          V g = V();
          mac(g, conj(to<V>(sample<Y, state_t<Y>>(p.y, p.outputs, order, b, c, t - 1 - k))), l);
          if (p.grad_a.at) store(at<A>(p.grad_a, b, c) + t * p.grad_a.time + k * p.grad_a.tap, g);
          else if (sums) add(sums[q + 1 + k], to<W>(g));
        }
      }
      V g = V();
      if (active) {
        later.push(l);
        if (t == 0 && p.grad_outputs.at)
          for (i64 n = 0; n < order; ++n) {
            V sum = V();
            for (i64 k = n; k < order && k - n < p.length; ++k)
              mac(sum, conj(tap<A>(p.a, b, c, k - n, k)), later[k - n]);
            store(at<compute_t<Y>>(p.grad_outputs, b, c) + (order - 1 - n) * p.grad_outputs.time, sum);
          }
        g = driving<Y, B>(p, b, c, t, [&](i64 j) { return later[j]; });
      }
      if (p.sum_x) {
        g = sum_of_lanes(g, threadIdx.x);
        const SumX<V> sums(p, item);
        if (threadIdx.x == 0) (t < 0 ? sums.past(p)[q + t] : sums.at[t]) = g;
      } else if (active) {
        if (t >= 0 && p.grad_x.at) store(at<X>(p.grad_x, b, c) + t * p.grad_x.time, g);
        if (t < 0 && p.grad_inputs.at) store(at<compute_t<X>>(p.grad_inputs, b, c) + (t + q) * p.grad_inputs.time, g);
      }
    }
  }
}
