// How the fast kernels are laid out.
//
// A *row* is one sequence: an example and a channel. A warp owns one row, and a block a few rows of one example
// (neighbouring channels). Time goes by in *tiles* of K samples; a lane owns M neighbouring samples of the tile.
//
//        tile of K = 32 M samples
//   |  lane 0  |  lane 1  |  lane 2  | ... |  lane 31 |        M = 64 or 128 bytes' worth of samples
//
// A tile passes through shared memory, so that memory is read and written along whichever axis is contiguous, while
// every lane finds its own M samples: in words of 16 bytes along time where rows are aligned so (VECTOR), else sample by
// sample along time (SCALAR), or by neighbouring threads from neighbouring channels (ACROSS). Both sides of the tile are
// accessed in slots of 16 bytes, and slots change places so that neighbouring lanes are on different banks. HALO
// positions on both sides hold the samples that filter taps reach before or after the tile. An x that all rows of a
// block share has one more tile, which the block reads together.
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
// from zero state, `carry` or `carry_varying` scans those, and phase 2 runs each segment from its true state. Phase 0 is
// the only launch of rows that are not split.
//
// Time that runs backwards is a negative stride. Strides count elements, and all indices are 64 bits wide.

enum Access { SCALAR, VECTOR, ACROSS };
enum Wants { WANTS_X = 1, WANTS_TAPS = 2, WANTS_FEEDBACK = 4 };
struct Signal { void* at; i64 batch, channel, time, access; };
struct Taps { void* at; i64 batch, channel, time, tap, access; };

struct Problem {
  i64 batch, channels, length, order, input_order;
  i64 log_rows, groups, segments, tiles, items;  // rows of a block; blocks of an example; tiles of a segment
  i64 phase, last, wants;                        // `last`: samples of last_y; `wants`: what gradients, of `Wants`
  i64 shares_x, block_sync;                      // rows of a block have the same x; warps read each other's tiles
  Signal x, y, inputs, outputs, last_y, grad_y, grad_last, grad_x, grad_inputs, grad_outputs;  // last_y: y's last, unrounded
  Taps b, a, grad_b, grad_a;
  // states of segments, (row, segment, state); where feedback varies, of two numbers: the only output, and at `ends` the
  // product of feedback, at `starts` whether the row is unstable
  void *ends, *starts;
  void* sums;           // sums over time, (row, segment, taps of b then of a)
  void* sum_x;          // gradients of a shared x summed over each block's rows, (example, group, block and past)
  void* ring;           // past values of the sequential kernels, (past, row)
  void* again;          // whether segments of a row run again, from mended starts: phase 3
};

// of powers of a companion matrix; the scan loses digits with the square of this
constexpr double LARGEST_POWER = 1e4;
// of products of feedback that varies: float has digits to spare, double has not
template <class V> constexpr double LARGEST_PRODUCT = same<typename Number<V>::real, float> ? 1e4 : 1e2;
// Rows in which scanning would add more than this to the error, over that of a run sample by sample, are CAREFUL.
constexpr double LARGEST_LOSS = 2;

__host__ __device__ constexpr int round_up(int n, int m) { return (n + m - 1) / m * m; }
__host__ __device__ constexpr int largest(int a, int b) { return a > b ? a : b; }

template <class T> __device__ inline T* at(const Signal& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}
// for paths that are rarely taken, so that they cost the others no registers
__device__ inline Signal rarely(const Signal& s) {
  return {s.at, only_here(s.batch), only_here(s.channel), only_here(s.time), s.access};
}
template <class T> __device__ inline T* at(const Taps& s, i64 b, i64 c) {
  return (T*)s.at + b * s.batch + c * s.channel;
}

// Where a warp stands: its row, its block's first row, its tile. A warp without a row reads the last one's, and writes
// nothing.
struct Place {
  i64 b, c0, c, row, group, segment, t0;
  int lane, warp, log_rows, rows, left;  // rows of the block and samples of the tile that exist
  bool active;

  __device__ Place(const Problem& p, i64 item) {
    lane = threadIdx.x & 31;
    warp = threadIdx.x >> 5;
    log_rows = int(p.log_rows);
    segment = item % p.segments;
    group = item / p.segments % p.groups;
    b = item / p.segments / p.groups;
    c0 = group << log_rows;
    const i64 others = p.channels - c0;
    rows = others < 1 << log_rows ? int(others) : 1 << log_rows;
    active = warp < rows;
    c = c0 + (active ? warp : rows - 1);
    row = b * p.channels + c;
  }
  template <int K> __device__ void enter(const Problem& p, int tile) {
    t0 = i64(tile) * K;
    const i64 rest = p.length - t0;
    left = rest < K ? int(rest) : K;
  }
  // waits for the warp, or for the block
  __device__ void sync(bool block) const {
    if (block) __syncthreads();
    else __syncwarp();
  }
  // calls f(row of the block, u) for u below `count` and every row of the block, neighbouring threads in neighbouring rows
  template <class F> __device__ void each_across(int count, F f) const {
    for (int k = threadIdx.x; k < count << log_rows; k += blockDim.x) f(k & ((1 << log_rows) - 1), k >> log_rows);
  }
};

// One row's tile in shared memory.
template <class V, int M, int HALO> struct Tile {
  static constexpr int E = 16 / int(sizeof(V));       // samples of a slot
  static constexpr int SLOTS = M / E;                 // of a lane, which change places among themselves: 4 or 8
  static constexpr int SIZE = 32 * M + 2 * HALO + E;  // a slot more, so that rows differ in their banks
  V* values;
  __device__ V* place(int u) const {
    const unsigned n = u + HALO, slot = n / E;
    return values + (slot ^ (slot >> 3 & (SLOTS - 1))) * E + n % E;
  }
  __device__ V& operator[](int u) const { return *place(u); }
  __device__ Tile of(int rows_away) const { return {values + rows_away * SIZE}; }

  // slot `lane + 32 k`; slots 64 apart change places alike
  __device__ Pack<V, E>& across(int lane, int k) const {
    return *(Pack<V, E>*)(place((lane + 32 * (k & 1)) * E) + 32 * (k & ~1) * E);
  }
  // the slot n samples from u on, a multiple of M
  __device__ Pack<V, E>& slot(int u, int n) const {
    const int group = n >= 0 ? n / M : -((M - 1 - n) / M);
    const unsigned first = (u + HALO + group * M) / E;
    return *(Pack<V, E>*)(values + (first + ((first >> 3 & (SLOTS - 1)) ^ (n - group * M) / E)) * E);
  }
  // N samples, of which BEFORE lie before u; both multiples of E
  template <int BEFORE, int N> __device__ void read(V (&v)[N], int u) const {
#pragma unroll
    for (int n = 0; n < N; n += E) {
      const Pack<V, E> pack = slot(u, n - BEFORE);
#pragma unroll
      for (int e = 0; e < E; ++e) v[n + e] = pack.values[e];
    }
  }
  __device__ void write(const V (&v)[M], int u) const {
#pragma unroll
    for (int n = 0; n < M; n += E) {
      Pack<V, E> pack;
#pragma unroll
      for (int e = 0; e < E; ++e) pack.values[e] = v[n + e];
      slot(u, n) = pack;
    }
  }
};

// Reads the tile's samples, and `more` after them, into the tiles of a block's rows, or the one tile that they share;
// after the end lie zeros. `row` is where the warp's row begins.
template <class S, class V, int M, int HALO>
__device__ void read_tile(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, const Signal& s, const S* row,
                          int more = 0, bool shared = false) {
  constexpr int E = Tile<V, M, HALO>::E, K = 32 * M;
  const int left = w.left + (more && w.t0 + K < p.length ? more : 0);
  if (int(s.access) == ACROSS) {
    const Signal here = rarely(s);
    w.each_across(K + more, [&](int r, int u) {
      auto sample = compute_t<S>();
      if (r < w.rows && u < left) sample = load(at<const S>(here, w.b, w.c0 + r) + (w.t0 + u) * here.time);
      tile.of(r - w.warp)[u] = to<V>(sample);
    });
    return;
  }
  auto scalar = [&](i64 time, int u) { tile[u] = to<V>(u < left ? load(row + (w.t0 + u) * time) : compute_t<S>()); };
  auto keep = [&](const Pack<S, E>& pack, Pack<V, E>& slot) {
    Pack<V, E> values;
#pragma unroll
    for (int e = 0; e < E; ++e) values.values[e] = to<V>(value(pack.values[e]));
    slot = values;
  };
  if (shared) {
    if (int(s.access) == VECTOR)
      for (int u = threadIdx.x * E; u < K; u += blockDim.x * E)
        keep(u < left ? load_pack<E>(row + (w.t0 + u)) : Pack<S, E>{}, *(Pack<V, E>*)tile.place(u));
    else {
      const i64 time = only_here(s.time);
      for (int u = threadIdx.x; u < K; u += blockDim.x) scalar(time, u);
    }
    return;
  }
  if (int(s.access) == VECTOR) {
    Pack<S, E> packs[M / E];
    const S* from = row + (w.t0 + w.lane * E);
    if (w.left == K) {
#pragma unroll
      for (int k = 0; k < M / E; ++k) packs[k] = load_pack<E>(from + 32 * k * E);
    } else {
#pragma unroll
      for (int k = 0; k < M / E; ++k)
        packs[k] = (w.lane + 32 * k) * E < left ? load_pack<E>(from + 32 * k * E) : Pack<S, E>{};
    }
#pragma unroll
    for (int k = 0; k < M / E; ++k) keep(packs[k], tile.across(w.lane, k));
  } else {
    const i64 time = only_here(s.time);
#pragma unroll
    for (int k = 0; k < M; ++k) scalar(time, w.lane + 32 * k);
  }
  if (w.lane < more) scalar(s.time, K + w.lane);
}

// Reads the `count` samples before the tile: of the block, or of the past where there is one.
template <class S, class PAST, class T>
__device__ void read_before(const Place& w, const T& tile, const Signal& s, const S* row, const Signal& past, int count,
                            bool shared = false) {
  if (w.lane >= count || (shared && w.warp)) return;
  const int u = -1 - w.lane;
  auto sample = compute_t<S>();
  if (w.t0) sample = load(row + (w.t0 + u) * s.time);
  else if (past.at) sample = load(at<const PAST>(past, w.b, w.c) + (count + u) * past.time);
  store(tile.place(u), sample);
}

template <class S, class V, int M, int HALO>
__device__ void write_tile(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, const Signal& s, S* row) {
  constexpr int E = Tile<V, M, HALO>::E, K = 32 * M;
  if (int(s.access) == ACROSS) {
    const Signal here = rarely(s);
    w.each_across(K, [&](int r, int u) {
      if (r < w.rows && u < w.left)
        store(at<S>(here, w.b, w.c0 + r) + (w.t0 + u) * here.time, tile.of(r - w.warp)[u]);
    });
    return;
  }
  if (!w.active) return;
  if (int(s.access) == VECTOR) {
    S* to = row + (w.t0 + w.lane * E);
    auto slot = [&](int k) {
      const Pack<V, E> values = tile.across(w.lane, k);
      Pack<S, E> pack;
#pragma unroll
      for (int e = 0; e < E; ++e) pack.values[e] = stored<S>(values.values[e]);
      store_pack(to + 32 * k * E, pack);
    };
    if (w.left == K) {
#pragma unroll
      for (int k = 0; k < M / E; ++k) slot(k);
    } else {
      for (int k = 0; (w.lane + 32 * k) * E < w.left; ++k) slot(k);
    }
    return;
  }
  const i64 time = only_here(s.time);
#pragma unroll
  for (int k = 0; k < M; ++k) {
    const int u = w.lane + 32 * k;
    if (u < w.left) store(row + (w.t0 + u) * time, tile[u]);
  }
}
