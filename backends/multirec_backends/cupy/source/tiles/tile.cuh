// How the fast kernels are laid out.
//
// A *row* is one sequence: an example and a channel. A warp owns one row, and a block a few rows of one example
// (neighbouring channels). Time goes by in *tiles* of K samples; a lane owns M neighbouring samples of the tile.
//
//        tile of K = 32 M samples
//   |  lane 0  |  lane 1  |  lane 2  | ... |  lane 31 |        M = 64 or 128 bytes' worth of samples
//
// A tile passes through shared memory, so that memory is read and written along whichever axis is contiguous, while
// every lane finds its own M samples: in words of 16 bytes where neighbours in time are neighbours in memory (VECTOR, ALONG),
// else sample by sample along time (SCALAR), or by neighbouring threads from neighbouring channels (ACROSS). Both sides
// of the tile are accessed in slots of 16 bytes, and slots change places so that neighbouring lanes are on different
// banks. HALO positions on both sides hold the samples that filter taps reach before or after the tile. Tiles hold
// samples as memory does, so that the next tile is copied while this one is computed, by way of no register. An x that
// all rows of a block share has two tiles, which the block reads together.
//
// A row may begin anywhere. Words of memory are the slots of the tile, so that all samples of a tile are moved by the
// row's SKEW, how many samples it begins behind a word; lanes move them back in registers. Words at a row's ends are
// read and written sample by sample.
//
// `solve` turns right-hand sides into outputs. Each lane runs its M samples from zero state; the 32 end states are
// scanned with the precomputed powers A^M, A^2M, ..., A^16M of the companion matrix, in double; and each lane runs
// again from its true state. The adjoint is the same with time, and the order of lanes, reversed.
//
// Where a power is too large, because the filter is unstable or nearly so, the lanes run one after another: slower,
// but with nothing that could overflow where the samples themselves do not. Once a sample is not finite, nothing
// after it in its row is: later lanes are told, whatever their own arithmetic says.

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

// One row's tile in shared memory, of samples as they are stored; tiles of rows are BYTES apart.
template <class S, int M, int HALO, int BYTES> struct Tile {
  using Sample = S;
  static constexpr int SPAN = BYTES;
  static constexpr int E = 16 / int(sizeof(S)) < M ? 16 / int(sizeof(S)) : M;  // samples of a slot
  static constexpr int SLOTS = M / E;  // of a lane, which change places among themselves: up to 8
  S* values;
  __device__ S* place(int u) const {
    const unsigned n = u + HALO, slot = n / E;
    return values + (slot ^ (slot >> 3 & (SLOTS - 1))) * E + n % E;
  }
  __device__ S& operator[](int u) const { return *place(u); }
  __device__ Tile of(int rows_away) const { return {(S*)((unsigned char*)values + rows_away * BYTES)}; }
  template <class T> __device__ Tile<T, M, HALO, BYTES> as() const { return {(T*)values}; }

  // slot `lane + 32 k`; slots 64 apart change places alike
  __device__ Pack<S, E>& across(int lane, int k) const {
    return *(Pack<S, E>*)(place((lane + 32 * (k & 1)) * E) + 32 * (k & ~1) * E);
  }
  // the slot n samples from u on, a multiple of M
  __device__ Pack<S, E>& slot(int u, int n) const {
    const int group = n >= 0 ? n / M : -((M - 1 - n) / M);
    const unsigned first = (u + HALO + group * M) / E;
    return *(Pack<S, E>*)(values + (first + ((first >> 3 & (SLOTS - 1)) ^ (n - group * M) / E)) * E);
  }
  // N samples, of which BEFORE lie before u; both multiples of E. All lanes of a warp agree on `skew`.
  template <int BEFORE, int D = 0, class V, int N> __device__ void read(V (&v)[N], int u, int skew = 0) const {
    if constexpr (D + 1 < E)
      if (skew > D) return read<BEFORE, D + 1>(v, u, skew);
#pragma unroll
    for (int n = 0; n < N + (D ? E : 0); n += E) {
      const Pack<S, E> pack = slot(u, n - BEFORE);
#pragma unroll
      for (int e = 0; e < E; ++e)
        if (n + e >= D && n + e - D < N) v[n + e - D] = to<V>(value(pack.values[e]));
    }
  }
  // the lane's samples; with a skew, the last ones go to the next lane, or behind the tile
  template <int D = 0, class V> __device__ void write(const V (&v)[M], int u, int skew = 0) const {
    if constexpr (D + 1 < E)
      if (skew > D) return write<D + 1>(v, u, skew);
    V earlier[D + 1];
#pragma unroll
    for (int d = 0; d < D; ++d) earlier[d] = from_before<false>(v[M - D + d], 1);
#pragma unroll
    for (int n = 0; n < M + (D ? E : 0); n += E) {
      V part[E];
#pragma unroll
      for (int e = 0; e < E; ++e) {
        const int i = n + e - D;
        part[e] = i < 0 ? earlier[i < 0 ? i + D : 0] : i < M ? v[i < M ? i : 0] : V();
      }
      if (n < M || u == 31 * M) slot(u, n) = packed(part);
    }
  }
  template <class V> __device__ static Pack<S, E> packed(const V (&v)[E]) {
    Pack<S, E> pack;
    if constexpr (E > 1 && same<V, float> && !same<compute_t<S>, S>) {
#pragma unroll
      for (int e = 0; e < E; e += 2) store_two(pack.values + e, v[e], v[e + 1]);
    } else {
#pragma unroll
      for (int e = 0; e < E; ++e) pack.values[e] = stored<S>(v[e]);
    }
    return pack;
  }
};
