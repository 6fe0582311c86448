// Powers of companion matrices and products of varying feedback, for the scan over lanes.

template <int LANES = 32, class W> __device__ inline W sum_of_lanes(W v, int lane) {
  for (int d = LANES / 2; d; d /= 2) {
    W other = from_lane(v, lane ^ d);
    add(v, other);
  }
  return v;
}

// Square matrices in shared memory, one warp at work.
template <class W, int N> struct Matrix {
  W* entries;
  __device__ W& operator()(int i, int j) const { return entries[i * N + j]; }
  // this = x y; may be one of them
  __device__ void product(const Matrix& x, const Matrix& y, int lane) const {
    constexpr int OWN = (N * N + 31) / 32;
    W own[OWN];
    for (int e = 0; e < OWN; ++e) {
      own[e] = W();
      int at = lane + 32 * e;
      if (at < N * N)
        for (int k = 0; k < N; ++k) mac(own[e], x(at / N, k), y(k, at % N));
    }
    __syncwarp();
    for (int e = 0; e < OWN; ++e)
      if (lane + 32 * e < N * N) entries[lane + 32 * e] = own[e];
    __syncwarp();
  }
  // the companion matrix of a row's feedback, p taps padded with zeros
  template <class A> __device__ void companion(const A* taps, i64 stride, int p, int lane) const {
    __syncwarp();
    for (int e = lane; e < N * N; e += 32) {
      int i = e / N, j = e % N;
      entries[e] = i == 0 ? (taps && j < p ? to<W>(load(taps + j * stride)) : W()) : i == j + 1 ? one<W>() : W();
    }
    __syncwarp();
  }
  __device__ void copy(const Matrix& x, int lane) const {
    __syncwarp();
    for (int e = lane; e < N * N; e += 32) entries[e] = x.entries[e];
    __syncwarp();
  }
  __device__ bool is_large(double most, int lane) const {
    bool large = false;
    for (int e = lane; e < N * N; e += 32) large = large || !(size_of(entries[e]) <= most);
    return __any_sync(ALL, large);
  }
  // the sum of squares of the lane's elements
  __device__ double squares(int lane) const {
    double sum = 0;
    for (int e = lane; e < N * N; e += 32) sum += size_of(entries[e]) * size_of(entries[e]);
    return sum;
  }
  // state += this matrix times old, or its conjugate times old
  template <bool CONJ, class V> __device__ void apply(V (&state)[N], const V (&old)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) mac(state[i], CONJ ? conj((*this)(i, j)) : (*this)(i, j), old[j]);
  }
};

// The powers A^M ... A^16M of a row, in shared memory; `build` says whether an element of one of them, or of those
// that segments need, is larger than `most`.
template <class W, int P, int M> struct Powers {
  static constexpr int COUNT = P ? 7 : 0;  // [5] is for trying further powers; then [5] and [6] are for a state
  W* entries;
  __device__ Matrix<W, P> operator[](int i) const { return {entries + i * P * P}; }
  // A column a lane, step by step. What a squaring loses grows with the matrix, and the next one multiplies that.
  template <class A> __device__ void run_columns(const A* taps, i64 stride, int lane) const {
    W a[P], column[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      a[k] = to<W>(load(taps + k * stride));
      column[k] = k == lane ? one<W>() : W();
    }
    int power = 0;
#pragma unroll 1
    for (int i = 0; i < 5; ++i) {
#pragma unroll 1
      for (; power < M << i; ++power) {
        W next = W();
#pragma unroll
        for (int k = P - 1; k >= 0; --k) mac(next, a[k], column[k]);
#pragma unroll
        for (int k = P - 1; k > 0; --k) column[k] = column[k - 1];
        column[0] = next;
      }
      if (lane < P)
#pragma unroll
        for (int k = 0; k < P; ++k) (*this)[i](k, lane) = column[k];
    }
    __syncwarp();
  }
  // Returns the square of what scanning adds to the error, over what a run sample by sample has of it: a bound, which
  // tests hold against errors.
  template <class V, class A> __device__ double build(const A* taps, i64 stride, bool segments, int lane) const {
    if constexpr (EXACT<V>) {
      // Every power was rounded, and so is what it gives; both are as if the state had been disturbed by that much. The
      // first is the same in every tile, so it adds up for as long as the filter remembers. The factors were fitted.
      run_columns(taps, stride, lane);
      double sum = 0, taps_sum = 1;
      for (int i = 0; i < 4; ++i) sum += (*this)[i].squares(lane);
      const double last = sum_of_lanes((*this)[4].squares(lane), lane), left = 1 - sqrt(last / P);
      sum = sum_of_lanes(sum, lane) + last;
      for (int k = 0; k < P; ++k) taps_sum += size_of(load(taps + k * stride));
      const double loss = 0.15 * P / M * taps_sum * taps_sum * sum * (1 + sum / 30);
      return left > 0 ? loss / (segments ? left * left : left) : 1 / 0.;
    } else {
      // A lane starts from zero though what came before it was none: what that adds to its values, A^n times them, is
      // rounded with them and cancels later. The mean over its samples, of powers 1, 2, 4, ... M.
      const auto first = (*this)[0];
      first.companion(taps, stride, P, lane);
      double sum = first.squares(lane);
      for (int m = 2; m <= M; m *= 2) {
        first.product(first, first, lane);
        sum += (m < M ? 0.75 : 0.25) * m * first.squares(lane);
      }
      for (int i = 1; i < 5; ++i) (*this)[i].product((*this)[i - 1], (*this)[i - 1], lane);
      return sum_of_lanes(sum, lane) / (P * M);
    }
  }
  // whether an element of the powers is too large to scan with
  __device__ bool are_large(int lane) const {
    bool large = false;
    for (int i = 0; i < 5; ++i) large = large || (*this)[i].is_large(LARGEST_POWER, lane);
    return large;
  }
  // or of those over up to `reach` samples
  __device__ bool reach_large(i64 reach, int lane) const {
    bool large = false;
    const auto last = (*this)[5];
    last.copy((*this)[4], lane);
    for (i64 power = 16 * M; power < reach && !large; power *= 2) {
      last.product(last, last, lane);
      large = last.is_large(LARGEST_POWER, lane);
    }
    return large;
  }
};

template <class W> __device__ inline W times(W x, W y) {
  W s = W();
  mac(s, x, y);
  return s;
}
// Of steps state -> z + product * state, one a lane, those up to and with each lane's; false where a product is too large.
template <class V, bool BACK, class WV, class WA> __device__ bool scan_products(WV& z, WA& product, int rank) {
  bool large = !(size_of(product) <= LARGEST_PRODUCT<V>);
  for (int d = 1; d < 32; d *= 2) {
    const WV earlier = from_before<BACK>(z, d);
    const WA factor = from_before<BACK>(product, d);
    if (rank >= d) {
      mac(z, product, earlier);
      product = times(product, factor);
    }
    large = large || !(size_of(product) <= LARGEST_PRODUCT<V>);
  }
  return !__any_sync(ALL, large);
}
