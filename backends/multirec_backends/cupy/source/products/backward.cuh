// The gradient: lambda of every segment from its true state, and all that follows from it.

// What a tile of the adjoint needs of a signal: value e is that of e samples before the tile's first, its latest.
template <class S, class PAST, class V, int K, int P, int LANES> struct Window {
  static constexpr int SIZE = K + P, OWN = (SIZE + LANES - 1) / LANES;
  V* values;
  compute_t<S> next[OWN];
  __device__ void fetch(const Team<LANES>& w, const Signal& s, const Signal& past, i64 count, i64 latest) {
#pragma unroll
    for (int n = 0; n < OWN; ++n) {
      const int e = w.member + n * LANES;
      next[n] = w.active && latest >= 0 && e < SIZE ? sample<S, PAST>(s, past, count, w.b, w.c, latest - e) : compute_t<S>();
    }
  }
  __device__ void put(const Team<LANES>& w) const {
#pragma unroll
    for (int n = 0; n < OWN; ++n) {
      const int e = w.member + n * LANES;
      if (w.active && e < SIZE) values[e] = to<V>(next[n]);
    }
  }
};

// The gradient of one tap: written sample by sample, backwards in time, or added up where it is a sum.
template <class T, class V, class W>
__device__ inline void correlate(const V* signal, const V* lambda, int count, T* to_tap, i64 time, W& sum) {
  auto product = [&](int u) {
    V g = V();
    mac(g, conj(signal[u]), lambda[u]);
    return g;
  };
  if (to_tap) {
#pragma unroll 8
    for (int u = 0; u < count; ++u, to_tap -= time) store(to_tap, product(u));
  } else {
    V part = V();
#pragma unroll 8
    for (int u = 0; u < count; ++u) add(part, product(u));
    add(sum, to<W>(part));
  }
}

// P is the larger one of p.order and p.input_order, so that feedforward reaches no further than the state.
template <class X, class Y, class B, class A, int P> __device__ void products_backward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  constexpr int LANES = lanes_for(P), K = TILE<A, P>, TAPS = (P + LANES) / LANES;
  using S = Stage<A, compute_t<A>, V, P, LANES, true>;
  extern __shared__ __align__(16) unsigned char memory[];
  const i64 samples = p.tiles * K, length = p.length + P, q = p.input_order;
  const int order = int(p.order);
  const i64 wants = only_ends<V>(p) ? 0 : p.wants;
  const bool wants_x = wants & WANTS_X, wants_taps = (wants & WANTS_TAPS) && p.b.at, wants_a = wants & WANTS_FEEDBACK;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Team<LANES> w(p, item, p.segments - only_ends<V>(p));
    S stage(p, w, memory);
    Drivers<X, Y, B, S, LANES, true> drivers;
    V* const windows = (V*)(memory + Team<LANES>::COUNT * S::SIZE) + w.number * 2 * (K + P);
    Window<X, X, V, K, P, LANES> x{windows};
    Window<Y, state_t<Y>, V, K, P, LANES> y{windows + K + P};
    const bool alone = in_turn(p, w);
    const i64 first = w.segment * samples, place = w.row * p.segments + w.segment;
    const i64 stop = alone ? (w.segment || only_ends<V>(p) ? 0 : length) : least(first + samples, length);
    V past[P];
#pragma unroll
    for (int k = 0; k < P; ++k)
      past[P - 1 - k] = p.phase > 1 && !alone ? to<V>(start_of<W, P>(p, w, k)) : V();
    V before = p.phase > 1 && !alone && w.member < P ? to<V>(start_of<W, P>(p, w, P - 1 - w.member)) : V();
    W sums[TAPS] = {}, sum_a = W();
    FrameSums<V> of_frames[TAPS], of_frames_a;
    const i64 own = alone ? 0 : w.segment;
    stage.put_before(p, w, first);
    int half = 0;
    for (i64 from = first - K; from < first || __any_sync(ALL, w.active && from < stop); from += K) {
      half = 1 - half;
      if (from >= first) {
        stage.put(half);
        drivers.put(w, stage.values);
        if (w.active && w.member < P) stage.values[w.member - P] = before;
        if (wants_taps) x.put(w);
        if (wants_a) y.put(w);
        __syncwarp();
      }
      stage.fetch(p, w, from + K, stop);
      drivers.fetch(p, w, from + K, stop);
      const i64 next = from + K < stop ? p.length - 1 - from - K : -1;
      if (wants_taps) x.fetch(w, p.x, p.inputs, q, next);
      if (wants_a) y.fetch(w, p.y, p.outputs, order, next);
      if (from < first) continue;
      if (w.active && w.member == 0) stage.run(past, half);
      __syncwarp();
      if (only_ends<V>(p)) continue;
      if (w.member < P) before = stage.values[K - P + w.member];
      const i64 latest = p.length - 1 - from;  // in time
      const int count = w.active && from < stop ? int(least(K, stop - from)) : 0, exist = int(least(count, latest + 1));
#pragma unroll
      for (int n = 0; n < S::OWN; ++n) {
        const int u = w.member + n * LANES;
        if (u >= count) continue;
        const i64 t = latest - u;
        if (p.grad_outputs.at && t < 0 && t + order >= 0)
          store(at<V>(p.grad_outputs, w.b, w.c) + (t + order) * p.grad_outputs.time, stage.values[u]);
        if (!wants_x || t + q < 0) continue;
        const V g = driving<Y, B>(p, w.b, w.c, t, [&](i64 j) { return stage.values[u - j]; });
        if (p.sum_x) {
          const SumX<V> sum_x(p, w.row);
          (t < 0 ? sum_x.past(p)[q + t] : sum_x.at[t]) = g;
        } else if (t < 0) {
          if (p.grad_inputs.at) store(at<compute_t<X>>(p.grad_inputs, w.b, w.c) + (t + q) * p.grad_inputs.time, g);
        } else if (p.grad_x.at) store(at<X>(p.grad_x, w.b, w.c) + t * p.grad_x.time, g);
      }
      if (wants_taps) {
#pragma unroll
        for (int m = 0; m < TAPS; ++m) {
          const int j = w.member + m * LANES;
          if (j > q) continue;
          if constexpr (FRAMED<B>)
            if (p.grad_b.at) {
              of_frames[m].take(p.b, x.values + j, stage.values, exist, latest, parts_of_frames<W>(p, w.row, own, j));
              continue;
            }
          const auto first_tap = at<B>(p.grad_b, w.b, w.c) + latest * p.grad_b.time + j * p.grad_b.tap;
          correlate(x.values + j, stage.values, exist, written_to(p.grad_b, first_tap), p.grad_b.time, sums[m]);
        }
      }
      if (wants_a && w.member < order) {
        const auto first_tap = at<A>(p.grad_a, w.b, w.c) + latest * p.grad_a.time + w.member * p.grad_a.tap;
        const V* before_it = y.values + 1 + w.member;
        bool framed = false;
        if constexpr (FRAMED<A>)
          if (p.grad_a.at) {
            framed = true;
            of_frames_a.take(p.a, before_it, stage.values, exist, latest, parts_of_frames<W>(p, w.row, own, q + 1 + w.member));
          }
        if (!framed) correlate(before_it, stage.values, exist, written_to(p.grad_a, first_tap), p.grad_a.time, sum_a);
      }
      __syncwarp();
    }
    if constexpr (EXACT<V>)
      if (only_ends<V>(p) && w.active && w.member == 0) keep_end<P>(p, w, past);
    if constexpr (FRAMED<A>)
      if (p.frames && w.active) {
#pragma unroll
        for (int m = 0; m < TAPS; ++m) of_frames[m].leave(parts_of_frames<W>(p, w.row, own, w.member + m * LANES));
        of_frames_a.leave(parts_of_frames<W>(p, w.row, own, q + 1 + w.member));
      }
    if (p.sums && w.active) {
      W* to = (W*)p.sums + place * (q + 1 + order) + w.member;
#pragma unroll
      for (int m = 0; m < TAPS; ++m)
        if (wants_taps && w.member + m * LANES <= q) to[m * LANES] = sums[m];
      if (wants_a && w.member < order) to[q + 1] = sum_a;
    }
    __syncwarp();
  }
}
