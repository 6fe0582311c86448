// The scans over segments of time: a block a row, neighbouring threads own neighbouring stretches of segments.

// Turns the segments' end states from zero state into their true start states. N is the length of a state, of which
// feedback reaches p.order. BACK is the adjoint, which begins at the last segment. After phase 2 it mends the start states
// by what the segments that ran from them leave between one's end and the next one's start.
template <class Y, class A, int N, int K, bool BACK> __device__ void carry(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  extern __shared__ __align__(16) unsigned char memory[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const bool refines = EXACT<V> && p.phase == 2;
  // over one segment; the base of powers; over a thread's segments, and doubled up to those of a warp; ends of warps
  auto matrix = [&](int i) { return Matrix<WA, N>{(WA*)memory + i * N * N}; };
  const auto over = matrix(0), base = matrix(1);
  auto doubled = [&](int i) { return matrix(2 + i); };
  W* const ends = (W*)((WA*)memory + 8 * N * N);
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    if (refines && !((const i64*)p.again)[row]) continue;
    const i64 b = row / p.channels, c = row % p.channels, span = (p.segments + blockDim.x - 1) / blockDim.x;
    if (warp == 0) {
      auto power = [&](const Matrix<WA, N>& result, i64 exponent) {
        // the base is spent; the result starts as the identity
        __syncwarp();
        for (int e = lane; e < N * N; e += 32) result.entries[e] = e % (N + 1) ? WA() : one<WA>();
        __syncwarp();
        for (; exponent; exponent /= 2) {
          if (exponent & 1) result.product(result, base, lane);
          if (exponent > 1) base.product(base, base, lane);
        }
      };
      base.companion(p.a.at ? at<const A>(p.a, b, c) : (const A*)nullptr, p.a.tap, int(p.order), lane);
      power(over, p.tiles * K);
      base.copy(over, lane);
      power(doubled(0), span);
      for (int i = 0; i < 5; ++i) doubled(i + 1).product(doubled(i), doubled(i), lane);
    }
    __syncthreads();

    auto place = [&](i64 j) { return (row * p.segments + (BACK ? p.segments - 1 - j : j)) * N; };
    const i64 first = threadIdx.x * span, stop = first + span < p.segments ? first + span : p.segments;
    W state[N], old[N], initial[N];
    W* const starts = (W*)p.starts;
    auto step = [&](i64 j) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        old[k] = state[k];
        state[k] = load((const W*)p.ends + place(j) + k);
        if (refines) state[k] = k < p.order && j + 1 < p.segments ? minus(state[k], starts[place(j + 1) + k]) : W();
      }
      over.template apply<BACK>(state, old);
    };
    auto scan = [&] {
      for (int i = 0; i < 5; ++i) {
#pragma unroll
        for (int k = 0; k < N; ++k) old[k] = from_before<false>(state[k], 1 << i);
        if (lane >= 1 << i) doubled(i).template apply<BACK>(state, old);
      }
    };
#pragma unroll
    for (int k = 0; k < N; ++k) {
      initial[k] = W();
      if (!BACK && !refines && threadIdx.x == 0 && p.outputs.at)
        initial[k] = to<W>(load(at<const state_t<Y>>(p.outputs, b, c) + (N - 1 - k) * p.outputs.time));
      state[k] = initial[k];
    }
    // with several loads on their way at once
    constexpr int AHEAD = N > 4 ? 1 : 8;
#pragma unroll AHEAD
    for (i64 j = first; j < stop; ++j) step(j);
    W own[N];
#pragma unroll
    for (int k = 0; k < N; ++k) own[k] = state[k];
    scan();
    // what a warp begins with, from the ends of those before it
    if (lane == 31)
#pragma unroll
      for (int k = 0; k < N; ++k) ends[warp * N + k] = state[k];
    __syncthreads();
    if (warp) {
      for (int u = 0; u < warp; ++u) {
#pragma unroll
        for (int k = 0; k < N; ++k) {
          old[k] = initial[k];
          initial[k] = ends[u * N + k];
        }
        doubled(5).template apply<BACK>(initial, old);
      }
#pragma unroll
      for (int k = 0; k < N; ++k) state[k] = own[k];
      if (lane == 0) doubled(0).template apply<BACK>(state, initial);
      scan();
    }
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const W earlier = from_before<false>(state[k], 1);
      state[k] = lane ? earlier : initial[k];
    }
#pragma unroll AHEAD
    for (i64 j = first; j < stop; ++j) {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        if (refines) add(starts[place(j) + k], state[k]);
        else starts[place(j) + k] = state[k];
      }
      if (j + 1 < stop) step(j);
    }
    __syncthreads();
  }
}

// The same where feedback varies: a segment hands on its end state from zero state and the product of its feedback, and
// gets its start state and whether products of the row are too large to compute with.
template <class Y, class A, bool BACK> __device__ void carry_varying(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  extern __shared__ __align__(16) unsigned char memory[];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
  // of each warp: its end, and its product
  W* const ends = (W*)memory;
  WA* const products = (WA*)(ends + warps);
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    const i64 b = row / p.channels, c = row % p.channels, span = (p.segments + blockDim.x - 1) / blockDim.x;
    const i64 first = threadIdx.x * span, stop = first + span < p.segments ? first + span : p.segments;
    auto place = [&](i64 j) { return (row * p.segments + (BACK ? p.segments - 1 - j : j)) * 2; };
    bool large = false;
    W initial = W();
    if (!BACK && threadIdx.x == 0 && p.outputs.at) initial = to<W>(load(at<const state_t<Y>>(p.outputs, b, c)));
    W state = initial;
    auto product = one<WA>();
    auto follow = [&](W end, WA factor) {
      const W old = state;
      state = end;
      mac(state, factor, old);
      product = times(product, factor);
      large = large || !(size_of(product) <= LARGEST_PRODUCT<V>);
    };
    auto step = [&](i64 j) {
      const W* end = (const W*)p.ends + place(j);
      follow(load(end), to<WA>(load(end + 1)));
    };
    for (i64 j = first; j < stop; ++j) step(j);
    large = !scan_products<V, false>(state, product, lane) || large;
    if (lane == 31) {
      ends[warp] = state;
      products[warp] = product;
    }
    const W earlier = from_before<false>(state, 1);
    const WA factor = from_before<false>(product, 1);
    __syncthreads();
    state = initial;
    product = one<WA>();
    for (int u = 0; u < warp; ++u) follow(ends[u], products[u]);
    if (lane) {
      const W begin = state;
      state = earlier;
      if (warp) mac(state, factor, begin);
    }
    const bool unstable = __syncthreads_or(large);
    for (i64 j = first; j < stop; ++j) {
      W* start = (W*)p.starts + place(j);
      start[0] = state;
      start[1] = unstable ? one<W>() : W();
      step(j);
    }
    __syncthreads();
  }
}
