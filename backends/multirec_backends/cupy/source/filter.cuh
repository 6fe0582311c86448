// How the fast kernels are laid out.
//
// A *row* is one sequence: an example and a channel. A warp owns one row, and a block a few rows of one example
// (neighbouring channels). Time goes by in *tiles* of K samples; a lane owns M neighbouring samples of the tile.
//
//        tile of K = 32 M samples
//   |  lane 0  |  lane 1  |  lane 2  | ... |  lane 31 |        M = 64 bytes' worth of samples
//
// A tile passes through shared memory, so that memory is read and written along whichever axis is contiguous
// (`across`: neighbouring threads take neighbouring channels), while every lane finds its own M samples. A padding
// element after every M keeps the lanes on different banks. HALO positions on both sides hold the samples that
// filter taps reach before or after the tile.
//
// `solve` turns right-hand sides into outputs. Each lane runs its M samples from zero state; the 32 end states are
// scanned with the precomputed powers A^M, A^2M, ..., A^16M of the companion matrix, in double; and each lane runs
// again from its true state. The adjoint is the same with time, and the order of lanes, reversed.
//
// Where a power is too large, because the filter is unstable or nearly so, the lanes run one after another: slower,
// but with nothing that could overflow where the samples themselves do not. Once a sample is not finite, nothing
// after it in its row is: later lanes are told, whatever their own arithmetic says.
//
// Few long rows are split into *segments* of whole tiles, in three launches: phase 1 gives each segment's end state
// from zero state, `carry` scans those, and phase 2 runs each segment from its true state.
//
// Time that runs backwards is a negative stride. Strides count elements, and all indices are 64 bits wide.

struct Signal { void* at; i64 batch, channel, time, across; };
struct Taps { void* at; i64 batch, channel, time, tap, across; };

struct Problem {
  i64 batch, channels, length, order, input_order;
  i64 log_rows, groups, segments, tiles, items;  // rows of a block; blocks of an example; tiles of a segment
  i64 phase, block_sync, last, wants_a;          // `last`: samples of grad_last; `wants_a`: its gradient is wanted
  Signal x, y, inputs, outputs, grad_y, grad_last, grad_x, grad_inputs, grad_outputs;
  Taps b, a, grad_b, grad_a;
  void *ends, *starts;  // states of segments, (row, segment, state)
  void* sums;           // sums over time, (row, segment, taps of b then of a)
  void* sum_x;          // gradients of a shared x summed over each block's rows, (example, group, past and block)
  void* ring;           // past values of the sequential kernels, (past, row)
};

constexpr double LARGEST_POWER = 1e6;

__host__ __device__ constexpr int round_up(int n, int m) { return (n + m - 1) / m * m; }
__host__ __device__ constexpr int largest(int a, int b) { return a > b ? a : b; }

template <class T> __device__ inline T* at(const Signal& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}
template <class T> __device__ inline T* at(const Taps& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}

// Where a warp stands: its row, its block's first row, and the part of shared memory that its block shares.
struct Place {
  i64 b, c0, c, row, group, segment;
  int lane, warp, log_rows;
  bool active, block_sync;

  __device__ Place(const Problem& p, i64 item) {
    lane = threadIdx.x & 31;
    warp = threadIdx.x >> 5;
    log_rows = int(p.log_rows);
    segment = item % p.segments;
    group = item / p.segments % p.groups;
    b = item / p.segments / p.groups;
    c0 = group << log_rows;
    c = c0 + warp;
    row = b * p.channels + c;
    active = c < p.channels;
    block_sync = p.block_sync != 0;
  }
  __device__ void sync() const {
    if (block_sync) __syncthreads();
    else __syncwarp();
  }
  // calls f(row of the block, u) for u in lo..hi and every row of the block, neighbouring threads in neighbouring rows
  template <class F> __device__ void each_across(int lo, int hi, F f) const {
    const int count = (hi - lo) << log_rows;
    for (int k = threadIdx.x; k < count; k += blockDim.x) f(k & ((1 << log_rows) - 1), lo + (k >> log_rows));
  }
};

// One row's tile in shared memory.
template <class V, int M, int HALO> struct Tile {
  static constexpr int SIZE = (32 * M + 2 * HALO) / M * (M + 1);
  static constexpr int STEP = 32 / M * (M + 1);  // between samples u and u + 32
  V* values;
  __device__ V* place(int u) const { return values + u + HALO + (u + HALO) / M; }
  __device__ V& operator[](int u) const { return *place(u); }
  __device__ Tile of(int rows_away) const { return {values + rows_away * SIZE}; }
};

// The tile as a lane sees it: 0 is the first of its M samples. Offsets are known to the compiler.
template <class V, int M> struct Own {
  V* first;
  __device__ V& operator[](int i) const { return first[i + (i >= 0 ? i / M : -((M - 1 - i) / M))]; }
};
template <class V, int M, int HALO> __device__ inline Own<V, M> own_samples(const Tile<V, M, HALO>& tile, int lane) {
  return {tile.place(lane * M)};
}

// Reads samples t0 + u, u in 0..hi, of a block's rows into their tiles; after the end lie zeros.
template <class S, class V, int M, int HALO>
__device__ void read_tile(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, const Signal& s, i64 t0,
                          int hi) {
  const i64 rest = p.length - t0;
  const int left = rest < hi ? int(rest) : hi;
  if (s.across) {
    w.each_across(0, hi, [&](int r, int u) {
      auto value = compute_t<S>();
      if (w.c0 + r < p.channels && u < left) value = load(at<const S>(s, w.b, w.c0 + r) + (t0 + u) * s.time);
      tile.of(r - w.warp)[u] = to<V>(value);
    });
    return;
  }
  const S* from = at<const S>(s, w.b, w.c) + (t0 + w.lane) * s.time;
  const i64 step = 32 * s.time;
  V* place = tile.place(w.lane);
  const int limit = w.active ? left - w.lane : 0;
#pragma unroll
  for (int k = 0; k < M; ++k, from += step) {
    auto value = compute_t<S>();
    if (32 * k < limit) value = load(from);
    place[k * tile.STEP] = to<V>(value);
  }
  if (w.lane < hi - 32 * M) tile[32 * M + w.lane] = to<V>(32 * M < limit ? load(from) : compute_t<S>());
}

// Reads the `count` samples before t0: of the block, or of the past where there is one.
template <class S, class T>
__device__ void read_before(const Place& w, const Problem& p, const T& tile, const Signal& s, const Signal& past,
                            int count, i64 t0) {
  if (w.lane >= count) return;
  const int u = -1 - w.lane;
  auto value = compute_t<S>();
  if (w.active && t0) value = load(at<const S>(s, w.b, w.c) + (t0 + u) * s.time);
  else if (w.active && past.at) value = load(at<const S>(past, w.b, w.c) + (count + u) * past.time);
  auto* place = tile.place(u);
  store(place, value);
}

template <class S, class V, int M, int HALO>
__device__ void write_tile(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, const Signal& s, i64 t0) {
  const i64 rest = p.length - t0;
  const int left = rest < 32 * M ? int(rest) : 32 * M;
  if (s.across) {
    w.each_across(0, 32 * M, [&](int r, int u) {
      if (w.c0 + r < p.channels && u < left) store(at<S>(s, w.b, w.c0 + r) + (t0 + u) * s.time, tile.of(r - w.warp)[u]);
    });
    return;
  }
  S* to = at<S>(s, w.b, w.c) + (t0 + w.lane) * s.time;
  const i64 step = 32 * s.time;
  const V* place = tile.place(w.lane);
  const int limit = w.active ? left - w.lane : 0;
#pragma unroll
  for (int k = 0; k < M; ++k, to += step)
    if (32 * k < limit) store(to, place[k * tile.STEP]);
}
