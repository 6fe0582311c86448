// Every segment from its true state, or every row where rows are not cut. In double, phase 2 only gives the states that
// segments really end in, and phase 3 runs them from mended starts.

// Of a row that is computed in turn, the first segment's team computes all.
template <int LANES> __device__ inline bool in_turn(const Problem& p, const Team<LANES>& w) {
  return p.phase > 1 && ((const i64*)p.again)[w.row];
}
template <class V> __device__ inline bool only_ends(const Problem& p) { return EXACT<V> && p.phase == 2; }

// the k-th newest value of the state that a segment begins with
template <class W, int P, int LANES> __device__ inline W start_of(const Problem& p, const Team<LANES>& w, int k) {
  return ((const W*)p.starts)[(w.row * p.segments + w.segment) * P + k];
}
template <int P, int LANES, class W> __device__ inline void keep_end(const Problem& p, const Team<LANES>& w, const W (&past)[P]) {
  W* end = (W*)p.ends + ((w.row * p.segments + w.segment) * (P + 1) + P) * P;
#pragma unroll
  for (int k = 0; k < P; ++k) end[k] = past[P - 1 - k];
}

template <class X, class Y, class B, class A, int P> __device__ void products_forward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  constexpr int LANES = lanes_for(P);
  using S = Stage<A, compute_t<A>, V, P, LANES, false>;
  extern __shared__ __align__(16) unsigned char memory[];
  const i64 samples = p.tiles * S::K;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Team<LANES> w(p, item, p.segments - only_ends<V>(p));
    S stage(p, w, memory);
    Drivers<X, Y, B, S, LANES, false> drivers;
    const bool alone = in_turn(p, w);
    const i64 first = w.segment * samples;
    const i64 stop = alone ? (w.segment || only_ends<V>(p) ? 0 : p.length) : least(first + samples, p.length);
    V past[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      V start = V();
      if (p.phase > 1 && !alone) start = to<V>(start_of<W, P>(p, w, k));
      else if (p.outputs.at)
        start = to<V>(load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k) * p.outputs.time));
      past[P - 1 - k] = start;
    }
    for (i64 from = first - S::K; from < first || __any_sync(ALL, w.active && from < stop); from += S::K) {
      if (from >= first) {
        stage.put(0);
        drivers.put(w, stage.values);
        __syncwarp();
      }
      stage.fetch(p, w, from + S::K, stop);
      drivers.fetch(p, w, from + S::K, stop);
      if (from < first) continue;
      if (w.active && w.member == 0) stage.run(past, 0);
      __syncwarp();
      if (only_ends<V>(p)) continue;
      Y* y = at<Y>(p.y, w.b, w.c) + from * p.y.time;
#pragma unroll
      for (int n = 0; n < S::OWN; ++n) {
        const int u = w.member + n * LANES;
        if (!w.active || u >= S::K || from + u >= stop) continue;
        const V sum = stage.values[u];
        store(y + u * p.y.time, sum);
        const i64 late = from + u - (p.length - p.last);
        if (p.last_y.at && late >= 0) store(at<state_t<Y>>(p.last_y, w.b, w.c) + late * p.last_y.time, sum);
      }
      __syncwarp();
    }
    if constexpr (EXACT<V>)
      if (only_ends<V>(p)) {
        if (w.active && w.member == 0) keep_end<P>(p, w, past);
        continue;
      }
    if (p.last_x.at && w.active && w.segment == 0) write_last_x<X>(p, w.b, w.c, w.member, LANES);
  }
}
