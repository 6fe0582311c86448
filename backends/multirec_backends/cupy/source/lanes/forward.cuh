// Forward: every lane runs its segment.

template <class X, class Y, class B, class A, int P, int Q> struct LanesForward {
  using V = compute_t<Y>;
  using L = Lines<V>;
  static constexpr int E = L::E, U = L::U;
  static constexpr int SLOTS = 4 * E >= P ? 4 : L::SLOTS;  // unrolled, so that past outputs change registers by name
  const Problem& p;
  const Lane& w;
  L lines, source;
  const i64 *of_x, *of_y;

  // h: the last outputs, newest first, before the line `start` and then after the warp's last. T is what feedback is
  // computed in. Returns whether h would show what is before that line.
  template <class T, bool WRITES> __device__ bool run(T (&h)[P], i64 start) const {
    using AT = like_t<A, T>;
    AT a[P];
    B b[Q + 1];
    V x[largest(Q, 1)];
#pragma unroll
    for (int k = 0; k < P; ++k) a[k] = to<AT>(load(at<const A>(p.a, w.b, w.c) + k * p.a.tap));
#pragma unroll
    for (int j = 0; j <= Q; ++j) b[j] = p.b.at ? load(at<const B>(p.b, w.b, w.c) + j * p.b.tap) : one<B>();
#pragma unroll
    for (int j = 0; j < Q; ++j) {
      const i64 t = w.t0 + start * U - 1 - j;
      x[j] = V();
      // where others still have a line, a shorter segment may have ended
      if (t >= p.length) continue;
      if (t >= 0) x[j] = to<V>(load(at<const X>(p.x, w.b, w.c) + t * p.x.time));
      else if (p.inputs.at) x[j] = to<V>(load(at<const X>(p.inputs, w.b, w.c) + (Q + t) * p.inputs.time));
    }
    const int log = p.shares_x ? w.log_rows : 0;
    const int line = w.lane >> log;
    typename Number<V>::real far = 0, near = 0;
    if (!WRITES && start) {
      if (w.t0 == 0 && p.inputs.at)
        for (int j = 0; j < Q; ++j)
          far += magnitude(to<V>(load(at<const X>(p.inputs, w.b, w.c) + j * p.inputs.time)));
#pragma unroll 1
      for (i64 n = 0; n < start; ++n) {
        read_lines<X>(w, source, p.x, of_x, log, n * U);
        __syncwarp();
        far += size_of_line(source, line);
        __syncwarp();
      }
    }
#pragma unroll 1
    for (i64 n = start; n < w.stop; ++n) {
      read_lines<X>(w, source, p.x, of_x, log, n * U);
      __syncwarp();
      if (!WRITES && start) near += size_of_line(source, line);
      // a lane whose segment is shorter keeps its state, for which it may be asked
      const int slots = n * U < w.count ? L::SLOTS : 0;
#pragma unroll 1
      for (int k0 = 0; k0 < slots; k0 += SLOTS) {
        Pack<V, E> packs[SLOTS];
#pragma unroll
        for (int k = 0; k < SLOTS; ++k) packs[k] = source.slot(line, k0 + k);
#pragma unroll
        for (int k = 0; k < SLOTS; ++k) {
#pragma unroll
          for (int e = 0; e < E; ++e) {
            V& v = packs[k].values[e];
            V sum = V();
            mac(sum, b[0], v);
#pragma unroll
            for (int j = 1; j <= Q; ++j) mac(sum, b[j], x[j - 1]);
#pragma unroll
            for (int j = Q - 1; j > 0; --j) x[j] = x[j - 1];
            if (Q) x[0] = v;
            T out = to<T>(sum);
#pragma unroll
            for (int i = P - 1; i >= 0; --i) mac(out, a[i], h[i]);
#pragma unroll
            for (int i = P - 1; i > 0; --i) h[i] = h[i - 1];
            h[0] = out;
            v = to<V>(out);
          }
          if (WRITES) lines.slot(w.lane, k0 + k) = packs[k];
        }
      }
      if (WRITES) {
        const i64 late = p.length - p.last - (w.t0 + n * U);
        if (p.last_y.at && late < U)
          for (int u = late > 0 ? int(late) : 0; u < U && n * U + u < w.count; ++u)
            store(at<state_t<Y>>(p.last_y, w.b, w.c) + (u - late) * p.last_y.time, lines.sample(w.lane, u));
        __syncwarp();
        write_lines<Y>(w, lines, p.y, of_y, n * U);
      }
      __syncwarp();
    }
    return shows(far, near);
  }
  // Calls give(h) with what lanes that are `asked` end with when they start from zero.
  template <class T, class F> __device__ void run_to_end(bool asked, F give) const {
    i64 start = w.first;
#pragma unroll 1
    do {
      T h[P];
#pragma unroll
      for (int k = 0; k < P; ++k) h[k] = T();
      const bool shown = run<T, false>(h, start);
      if (asked) give(h);
      asked = asked && start && shown;
      start = 0;
    } while (__any_sync(ALL, asked));
  }
};

template <class X, class Y, class B, class A, int P, int Q> __device__ void lanes_forward(const Problem& p) {
  using F = LanesForward<X, Y, B, A, P, Q>;
  using V = typename F::V;
  using W = wide_t<V>;
  extern __shared__ __align__(16) unsigned char memory[];
  const typename F::L lines{(V*)memory}, more{(V*)memory + 32 * F::U};
  const int phase = int(p.phase);
  // beside the segments, and before them, since it takes as long
  const i64 powers = phase == 1 ? Table<wide_t<A>, P>::rows(p) : 0;
  for (i64 n = blockIdx.x; n < powers + p.items; n += gridDim.x) {
    if (n < powers) {
      write_power<V, A, P>(p, n);
      continue;
    }
    const i64 item = n - powers;
    Lane w(p, item, F::U);
    w.template settle<EXACT<V>, false>(p, phase, p.segments > 1 ? Table<wide_t<A>, P>(p, w.b, w.c).trust() : 0, F::U);
    if (!w.stop) continue;
    i64* const begins = (i64*)(more.values + (p.shares_x ? F::U * 32 >> w.log_rows : 0));
    w.place(begins, p.y, 0);
    w.place(begins + 32, p.x, p.shares_x ? w.log_rows : 0);
    __syncwarp();
    const F forward{p, w, lines, p.shares_x ? more : lines, begins + 32, begins};
    const i64 place = (w.row * p.segments + w.segment) * P;
    W* const ends = (W*)p.ends + place;
    if (phase == 1) {
      auto give = [&](const auto& h) {
#pragma unroll
        for (int k = 0; k < P; ++k) ends[k] = to<W>(h[k]);
      };
      if (EXACT<V> || __any_sync(ALL, !w.careful)) forward.template run_to_end<V>(w.count && (EXACT<V> || !w.careful), give);
      if constexpr (!EXACT<V>)
        if (__any_sync(ALL, w.careful)) forward.template run_to_end<W>(w.count && w.careful, give);
      continue;
    }
    V h[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      h[k] = V();
      if (phase && !w.alone) h[k] = to<V>(((const W*)p.starts)[place + k]);
      else if (p.outputs.at) h[k] = to<V>(load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k) * p.outputs.time));
    }
    forward.template run<V, true>(h, 0);
    if (EXACT<V> && phase == 2 && w.count && !w.alone)
#pragma unroll
      for (int k = 0; k < P; ++k) ends[k] = to<W>(h[k]);
    if (w.count && w.t0 + w.count == p.length) write_last_x<X>(p, w.b, w.c, 0, 1);
  }
}
