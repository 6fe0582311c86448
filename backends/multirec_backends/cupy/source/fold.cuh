// Adds up, in a fixed order, the partial results that a call has left: of coefficients and of a shared x, in one launch.

enum JobKind { SUM_B, SUM_A, OF_X, OF_PAST_X, TAPS_B, TAPS_A, OF_PAST_Y };
// out[i, j, k] = the sum of in[i, j, k, m, n] over m and n; strides count elements.
struct Job {
  const void* in;
  void* out;
  i64 kind, first, blocks;           // of all blocks, those from the first on are this job's
  i64 sizes[3], from[3], to[3];      // of the results, and where they are
  i64 terms[2], apart[2];            // m, which threads share, and n
  i64 lanes;                         // that share a result: 1, 32 or a block; of 1, each has neighbouring results along k
};
struct Fold {
  i64 count, blocks;
  Job jobs[6];
};

template <class From> __device__ inline const From* source_of(const Job& f, i64 i, i64 j, i64 k) {
  return (const From*)f.in + i * f.from[0] + j * f.from[1] + k * f.from[2];
}
template <class To> __device__ inline To* target_of(const Job& f, i64 i, i64 j, i64 k) {
  return (To*)f.out + i * f.to[0] + j * f.to[1] + k * f.to[2];
}

// E neighbours a thread, with several terms on their way at once
template <class From, class To, class V, int E> __device__ void fold_columns(const Job& f, i64 block) {
  const i64 slots = (f.sizes[2] + E - 1) / E, count = f.sizes[0] * f.sizes[1] * slots;
  for (i64 n = block * blockDim.x + threadIdx.x; n < count; n += f.blocks * blockDim.x) {
    const Quotient inner = divided(n, slots), outer = divided(inner.whole, f.sizes[1]);
    const i64 k = inner.rest * E;
    V sum[E] = {};
    for (i64 t = 0; t < f.terms[1]; ++t) {
      const From* from = source_of<From>(f, outer.whole, outer.rest, k) + t * f.apart[1];
#pragma unroll 8
      for (i64 m = 0; m < f.terms[0]; ++m) {
        const Pack<From, E> pack = load_pack<E>(from + m * f.apart[0]);
#pragma unroll
        for (int e = 0; e < E; ++e) add(sum[e], to<V>(pack.values[e]));
      }
    }
#pragma unroll
    for (int e = 0; e < E; ++e)
      if (k + e < f.sizes[2]) store(target_of<To>(f, outer.whole, outer.rest, k + e), sum[e]);
  }
}

// one result for a warp, or for a block
template <class From, class To> __device__ void fold_rows(const Job& f, i64 block) {
  using W = wide_t<From>;
  extern __shared__ __align__(16) unsigned char memory[];
  W* const parts = (W*)memory;
  const int lanes = int(f.lanes), lane = threadIdx.x & 31, mine = threadIdx.x & (lanes - 1);
  const i64 each = blockDim.x / lanes, count = f.sizes[0] * f.sizes[1] * f.sizes[2];
  for (i64 first = block * each; first < count; first += f.blocks * each) {
    const i64 n = first + threadIdx.x / lanes;
    const Quotient inner = divided(n < count ? n : count - 1, f.sizes[2]), outer = divided(inner.whole, f.sizes[1]);
    const From* const from = source_of<From>(f, outer.whole, outer.rest, inner.rest);
    W sum = W();
    for (i64 t = 0; t < f.terms[1]; ++t)
#pragma unroll 8
      for (i64 m = mine; m < f.terms[0]; m += lanes) add(sum, to<W>(load(from + t * f.apart[1] + m * f.apart[0])));
    sum = sum_of_lanes(sum, lane);
    if (lanes > 32) {
      __syncthreads();
      if (lane == 0) parts[threadIdx.x / 32] = sum;
      __syncthreads();
      sum = sum_of_lanes(lane < lanes / 32 ? parts[lane] : W(), lane);
    }
    if (mine == 0 && n < count) store(target_of<To>(f, outer.whole, outer.rest, inner.rest), sum);
  }
}

template <class From, class To, class V, int E> __device__ inline void fold_job(const Job& f, i64 block) {
  if (f.lanes == 1) fold_columns<From, To, V, E>(f, block);
  else fold_rows<From, To>(f, block);
}

template <class X, class Y, class B, class A> __device__ void fold(const Fold& f) {
  using V = compute_t<Y>;
  for (i64 block = blockIdx.x; block < f.blocks; block += gridDim.x) {
    int number = 0;
    while (number + 1 < f.count && block >= f.jobs[number + 1].first) ++number;
    const Job& job = f.jobs[number];
    const i64 own = block - job.first;
    switch (int(job.kind)) {
      case SUM_B: fold_job<wide_t<V>, B, wide_t<V>, 1>(job, own); break;
      case SUM_A: fold_job<wide_t<V>, A, wide_t<V>, 1>(job, own); break;
      case OF_X: fold_columns<V, X, V, 16 / int(sizeof(V))>(job, own); break;
      case OF_PAST_X: fold_columns<V, compute_t<X>, V, 1>(job, own); break;
      case TAPS_B: fold_columns<B, B, wide_t<B>, 1>(job, own); break;
      case TAPS_A: fold_columns<A, A, wide_t<A>, 1>(job, own); break;
      case OF_PAST_Y: fold_columns<V, V, V, 1>(job, own); break;
    }
  }
}
