// What lane-serial kernels hand on from segment to segment.

// The phase of `lanes_together`, which takes all segments in one launch.
constexpr int TOGETHER = 4;
// What elements of powers may be at most where segments run in double but outputs are float.
constexpr double LARGEST_SEGMENT = 1e6;
// What elements of a power are at most where nothing is left of a state: less than rounding leaves.
template <class V> constexpr double NOTHING = EXACT<V> ? 1e-19 : 1e-10;

// The power over a segment of the n-th row of coefficients, a column a lane, step by step.
template <class V, class A, int N> __device__ inline void write_power(const Problem& p, i64 n) {
  using WA = wide_t<A>;
  const int lane = threadIdx.x & 31;
  const Table<WA, N> table(p, n);
  WA a[N], column[N];
#pragma unroll
  for (int k = 0; k < N; ++k) {
    a[k] = k < p.order ? to<WA>(load(table.template taps<A>(p) + k * p.a.tap)) : WA();
    column[k] = k == lane ? one<WA>() : WA();
  }
#pragma unroll 8
  for (i64 t = 0; t < p.tiles * Lines<V>::U; ++t) {
    WA next = WA();
#pragma unroll
    for (int k = N - 1; k >= 0; --k) mac(next, a[k], column[k]);
#pragma unroll
    for (int k = N - 1; k > 0; --k) column[k] = column[k - 1];
    column[0] = next;
  }
  if (lane < N)
#pragma unroll
    for (int k = 0; k < N; ++k) table.matrix()[k * N + lane] = column[k];
}

// How far each row's powers over a segment can be trusted; N * N threads a block, in whole warps. Squaring loses digits that
// `write_power` keeps, but it takes few steps.
template <class Y, class A, int N> __device__ void lanes_trust(const Problem& p) {
  using V = compute_t<Y>;
  using WA = wide_t<A>;
  extern __shared__ __align__(16) unsigned char memory[];
  WA* const power = (WA*)memory;
  double* const parts = (double*)(power + N * N);
  constexpr double MOST = EXACT<V> ? LARGEST_POWER : LARGEST_SEGMENT;
  const int e = threadIdx.x, row = e / N, column = e % N;
  const bool own = e < N * N;
  const i64 samples = p.tiles * Lines<V>::U;
  for (i64 n = blockIdx.x; n < Table<WA, N>::rows(p); n += gridDim.x) {
    const Table<WA, N> table(p, n);
    if (own) {
      power[e] = row == column + 1 ? one<WA>() : WA();
      if (row == 0 && column < p.order) power[e] = to<WA>(load(table.template taps<A>(p) + column * p.a.tap));
    }
    __syncthreads();
    // A segment starts from zero though what came before it was none. What that adds to its values is n samples later A^n
    // times them; it is rounded with them, and cancels when the true state comes. To the end, L samples on, the rounding
    // comes by the first column of A^(L - n), so that both are large only where the powers over half a segment are, or over
    // all of it. The mean square of that column's elements was more than the loss in all that was tried.
    double squares[2] = {};
    bool large = false;
    i64 memory = 0;
    for (i64 m = 1; m <= samples; m *= 2) {
      WA next = WA();
      const double size = own ? size_of(power[e]) : 0;
      if (!__syncthreads_or(!(size <= NOTHING<V>))) {
        memory = m;
        squares[0] = 0;  // the segment is as if it had so many samples
        break;
      }
      squares[0] = squares[1];
      if (own) {
        squares[1] = column ? 0 : size * size;
        large = large || !(size <= MOST);
        if (2 * m <= samples)
#pragma unroll
          for (int k = 0; k < N; ++k) mac(next, power[row * N + k], power[k * N + column]);
      }
      __syncthreads();
      if (own) power[e] = next;
      __syncthreads();
    }
    const double half = sum_of_lanes(squares[0], e & 31), whole = sum_of_lanes(squares[1], e & 31);
    if ((e & 31) == 0) {
      parts[e / 16] = half;
      parts[e / 16 + 1] = whole;
    }
    const bool alone = __syncthreads_or(large);
    if (e == 0) {
      double sums[2] = {};
      for (int k = 0; k < int(blockDim.x) / 16; ++k) sums[k & 1] += parts[k];
      const double loss = (sums[0] > sums[1] ? sums[0] : sums[1]) / N;
      const bool careful = !(loss <= LARGEST_LOSS * LARGEST_LOSS);
      table.trust() = (alone ? ALONE : careful ? CAREFUL : 0) + memory * MEMORY;
    }
    __syncthreads();
    if (p.phase == TOGETHER && e < 32) write_power<V, A, N>(p, n);
  }
}

// Turns segments' end states from zero state into their true start states, one after another; a lane for each element of
// the state. After phase 2 it mends the start states by what segments leave between one's end and the next one's start.
template <class Y, class A, int N, bool BACK> __device__ void lanes_carry(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  extern __shared__ __align__(16) unsigned char memory[];
  W* const shared = (W*)memory;
  const bool own = threadIdx.x < N, refines = EXACT<V> && p.phase == 2;
  const int i = own ? threadIdx.x : 0;
  constexpr int AHEAD = 8;
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    const i64 b = row / p.channels, c = row % p.channels, count = p.segments;
    const Table<WA, N> table(p, b, c);
    if (refines && !(table.trust() & CAREFUL)) continue;
    WA a[N];
#pragma unroll
    for (int j = 0; j < N; ++j) a[j] = BACK ? conj(table.matrix()[i * N + j]) : table.matrix()[i * N + j];
    auto place = [&](i64 n) { return (row * count + (BACK ? count - 1 - n : n)) * N + i; };
    W* const starts = (W*)p.starts;
    W state = W();
    if (!BACK && !refines && p.outputs.at)
      state = to<W>(load(at<const state_t<Y>>(p.outputs, b, c) + (N - 1 - i) * p.outputs.time));
    for (i64 first = 0; first < count; first += AHEAD) {
      // loads on their way while the ones before are added up; nobody asks where the last segment ends
      W ends[AHEAD], known[AHEAD + 1];
#pragma unroll
      for (int n = 0; n < AHEAD; ++n) ends[n] = own && first + n + 1 < count ? ((const W*)p.ends)[place(first + n)] : W();
      if (refines) {
#pragma unroll
        for (int n = 0; n <= AHEAD; ++n) known[n] = own && first + n < count ? starts[place(first + n)] : W();
#pragma unroll
        for (int n = 0; n < AHEAD; ++n) ends[n] = minus(ends[n], known[n + 1]);
      }
#pragma unroll
      for (int n = 0; n < AHEAD; ++n) {
        if (first + n >= count) break;
        if (own) {
          if (refines) add(known[n], state);
          starts[place(first + n)] = refines ? known[n] : state;
          shared[i] = state;
        }
        __syncwarp();
        W sums[2] = {ends[n], W()};
#pragma unroll
        for (int j = 0; j < N; ++j) mac(sums[j & 1], a[j], shared[j]);
        state = sums[0];
        add(state, sums[1]);
        __syncwarp();
      }
    }
  }
}
