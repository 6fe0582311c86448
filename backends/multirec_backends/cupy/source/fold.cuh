// Adds up partial results in a fixed order: out[i0, i1, i3] = the sum over i2, and over i0 or i1 where out has but one.

struct Fold {
  const void* in;
  i64 sizes[4], strides[4];  // of the partial results
  void* out;
  i64 kept[2];     // sizes of the first two axes of out: full or 1
  i64 targets[3];  // strides of out: axes 0, 1 and 3
  i64 lanes;       // that share one sum: 1 or 32
};

template <class From, class To> __device__ void fold(const Fold& f) {
  const i64 count = f.kept[0] * f.kept[1] * f.sizes[3], step = (i64)gridDim.x * blockDim.x / f.lanes;
  const i64 n0 = f.kept[0] == 1 ? f.sizes[0] : 1, n1 = f.kept[1] == 1 ? f.sizes[1] : 1, n2 = f.sizes[2];
  const int lane = f.lanes == 1 ? 0 : threadIdx.x & 31;
  using W = wide_t<From>;
  for (i64 k = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / f.lanes; k < count; k += step) {
    const i64 i3 = k % f.sizes[3], i1 = k / f.sizes[3] % f.kept[1], i0 = k / f.sizes[3] / f.kept[1];
    const From* from = (const From*)f.in + i0 * f.strides[0] + i1 * f.strides[1] + i3 * f.strides[3];
    W sum = W();
    for (i64 j = lane; j < n0 * n1 * n2; j += f.lanes)
      add(sum, to<W>(load(from + j / n2 / n1 * f.strides[0] + j / n2 % n1 * f.strides[1] + j % n2 * f.strides[2])));
    if (f.lanes > 1) sum = sum_of_lanes(sum, lane);
    if (lane == 0) store((To*)f.out + i0 * f.targets[0] + i1 * f.targets[1] + i3 * f.targets[2], sum);
  }
}
