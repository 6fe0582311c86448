// The gradient of an x that all channels share: each block adds its rows up, and `fold` the blocks.

// One block's part of sum_x: its samples, and from `past` on those of the past, both in whole slots.
template <class V> struct SumX {
  static constexpr i64 E = 16 / int(sizeof(V));
  V* at;
  __device__ SumX(const Problem& p, i64 block)
      : at((V*)p.sum_x + block * (slots(p.length) + slots(p.input_order))) {}
  __device__ static i64 slots(i64 count) { return (count + E - 1) / E * E; }
  __device__ V* past(const Problem& p) const { return at + slots(p.length); }
};

// Adds up the tiles of a block's rows, and at the first tile the `Q` samples before it.
template <int Q, class V, int M, int HALO>
__device__ void sum_rows(const Place& w, const Problem& p, const Tile<V, M, HALO>& tile, const SumX<V>& sums) {
  constexpr int E = Tile<V, M, HALO>::E;
  const auto first = tile.of(-w.warp);
  for (int u = threadIdx.x * E; u < w.left; u += blockDim.x * E) {
    const V* from = first.place(u);
    Pack<V, E> sum = *(const Pack<V, E>*)from;
#pragma unroll 7
    for (int r = 1; r < w.rows; ++r) {
      const Pack<V, E> row = *(const Pack<V, E>*)(from + r * Tile<V, M, HALO>::SIZE);
#pragma unroll
      for (int e = 0; e < E; ++e) add(sum.values[e], row.values[e]);
    }
    store_pack<true>(sums.at + (w.t0 + u), sum);
  }
  if (w.t0 == 0 && int(threadIdx.x) < Q) {
    V sum = V();
    for (int r = 0; r < w.rows; ++r) add(sum, first.of(r)[int(threadIdx.x) - Q]);
    sums.past(p)[threadIdx.x] = sum;
  }
}
