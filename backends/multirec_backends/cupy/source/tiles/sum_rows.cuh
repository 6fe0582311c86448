// Adds up the tiles of a block's rows, and at the first tile the `Q` samples before it.
template <int Q, class V, int M, int HALO, int BYTES>
__device__ void sum_rows(const Place& w, const Problem& p, const Tile<V, M, HALO, BYTES>& tile, const SumX<V>& sums) {
  constexpr int E = Tile<V, M, HALO, BYTES>::E;
  const auto first = tile.of(-w.warp);
  for (int u = threadIdx.x * E; u < w.left; u += blockDim.x * E) {
    const V* from = first.place(u);
    Pack<V, E> sum = *(const Pack<V, E>*)from;
#pragma unroll 7
    for (int r = 1; r < w.rows; ++r) {
      const Pack<V, E> row = *(const Pack<V, E>*)((const unsigned char*)from + r * BYTES);
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
