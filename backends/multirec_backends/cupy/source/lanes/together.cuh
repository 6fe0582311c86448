// Forward in one launch, where rows are many.
//
// A block of 8 warps takes its rows from beginning to end, in stretches of as many segments as its lanes own. Of each
// stretch it runs all segments from zero state, carries the state through them, and runs them again. What a stretch wrote is
// on its way to memory while the next one is computed.

template <class X, class Y, class B, class A, int P, int Q> __device__ void lanes_together(const Problem& p) {
  using F = LanesForward<X, Y, B, A, P, Q>;
  using V = typename F::V;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  constexpr int WARPS = 8, WHOLE = 32 * F::U, ROWS = 4;  // rows of a warp in the carry: 8 lanes for each
  static_assert(!EXACT<V> && P <= 8);
  extern __shared__ __align__(16) unsigned char memory[];
  V* const values = (V*)memory;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, log = int(p.log_rows), own = 32 >> log;
  V* const shared_x = values + WARPS * WHOLE + warp * F::U * own;
  const typename F::L lines{values + warp * WHOLE}, source{p.shares_x ? shared_x : lines.values};
  i64* const begins = (i64*)(values + WARPS * (WHOLE + (p.shares_x ? F::U * own : 0))) + warp * 64;
  W* const states = (W*)lines.values;  // [element][lane], while nothing else is there
  const i64 items = (p.segments + own - 1) / own;
  // in the carry: the lane's row and element of the state
  const int element = lane & 7, mine = warp * ROWS + (lane >> 3);
  const bool carries = element < P && mine < 1 << log;

  for (i64 group = blockIdx.x; group < p.items; group += gridDim.x) {
    const Lane start(p, group * items, F::U);
    const i64 b = from_lane(start.b, mine & 31), c = from_lane(start.c, mine & 31);
    W state = W();
    if (carries && p.outputs.at)
      state = to<W>(load(at<const state_t<Y>>(p.outputs, b, c) + (P - 1 - element) * p.outputs.time));
    for (i64 first = 0; first < items; first += WARPS) {
      Lane w(p, group * items + (first + warp < items ? first + warp : items - 1), F::U);
      if (first + warp >= items) w.count = 0;
      const i64 trust = Table<WA, P>(p, w.b, w.c).trust();
      Lane ends = w;
      ends.template settle<false, false>(p, 1, trust, F::U);
      w.template settle<false, false>(p, 2, trust, F::U);
      w.place(begins, p.y, 0);
      w.place(begins + 32, p.x, p.shares_x ? log : 0);
      __syncwarp();
      const i64 *of_x = begins + 32, *of_y = begins;
      W z[P];
      V h[P];
#pragma unroll
      for (int k = 0; k < P; ++k) {
        h[k] = V();
        z[k] = W();
      }
      // all of a segment: to look at samples first takes as long where memory is what is waited for
      if (__any_sync(ALL, !w.careful)) F{p, ends, lines, source, of_x, of_y}.template run<V, false>(h, 0);
      if (__any_sync(ALL, w.careful)) F{p, ends, lines, source, of_x, of_y}.template run<W, false>(z, 0);
#pragma unroll
      for (int k = 0; k < P; ++k) states[32 * k + lane] = w.careful ? z[k] : to<W>(h[k]);
      __syncthreads();
      WA a[P];
#pragma unroll
      for (int j = 0; j < P; ++j) a[j] = carries ? Table<WA, P>(p, b, c).matrix()[element * P + j] : WA();
#pragma unroll 1
      for (int s = 0; s < WARPS * own; ++s) {
        W* const place = (W*)(values + s / own * WHOLE) + 32 * element + (s % own << log) + mine;
        W sum = carries ? *place : W();
        if (carries) *place = state;
#pragma unroll
        for (int j = 0; j < P; ++j) mac(sum, a[j], from_lane(state, (lane & ~7) + j));
        state = sum;
      }
      __syncthreads();
#pragma unroll
      for (int k = 0; k < P; ++k) {
        h[k] = to<V>(states[32 * k + lane]);
        if (w.alone) h[k] = V();
        if (w.alone && p.outputs.at)
          h[k] = to<V>(load(at<const state_t<Y>>(p.outputs, w.b, w.c) + (P - 1 - k) * p.outputs.time));
      }
      __syncwarp();
      F{p, w, lines, source, of_x, of_y}.template run<V, true>(h, 0);
      if (w.count && w.t0 + w.count == p.length) write_last_x<X>(p, w.b, w.c, 0, 1);
    }
    // others may still read the states' places
    __syncthreads();
  }
}
