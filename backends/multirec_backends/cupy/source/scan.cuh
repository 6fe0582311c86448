// The recurrence on a tile: powers of companion matrices, the scan over lanes, and what the fast kernels are made of.

template <class W> __device__ inline W sum_of_lanes(W v, int lane) {
  for (int d = 16; d; d /= 2) {
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
  // state += this matrix times old, or its conjugate times old
  template <bool CONJ, class V> __device__ void apply(V (&state)[N], const V (&old)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i)
#pragma unroll
      for (int j = 0; j < N; ++j) mac(state[i], CONJ ? conj((*this)(i, j)) : (*this)(i, j), old[j]);
  }
};

enum Way { SCAN, CAREFUL, IN_TURN };

// The powers A^M ... A^16M of a row, in shared memory; `build` says whether an element of one of them, or of those
// that segments need, is larger than `most`.
template <class W, int P, int M> struct Powers {
  static constexpr int COUNT = P ? 6 : 0;  // the last one is for trying further powers
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
  // Says how lanes learn what they start from; `large`: an element of a power, up to that over `reach` samples, is too
  // large to scan with.
  template <class V, class A>
  __device__ Way build(const A* taps, i64 stride, i64 reach, bool& large, int lane) const {
    if constexpr (EXACT<V>) run_columns(taps, stride, lane);
    else {
      const auto first = (*this)[0];
      first.companion(taps, stride, P, lane);
      for (int m = 1; m < M; m *= 2) first.product(first, first, lane);
      for (int i = 1; i < 5; ++i) (*this)[i].product((*this)[i - 1], (*this)[i - 1], lane);
    }
    large = false;
    for (int i = 0; i < 5; ++i) large = large || (*this)[i].is_large(LARGEST_POWER<V>, lane);
#ifndef FORCED
#define FORCED CAREFUL
#endif
    const Way way = large ? IN_TURN : FORCED;
    const auto last = (*this)[5];
    last.copy((*this)[4], lane);
    for (i64 power = 16 * M; power < reach && !large; power *= 2) {
      last.product(last, last, lane);
      large = last.is_large(LARGEST_POWER<V>, lane);
    }
    return way;
  }
};

template <class W> __device__ inline W times(W x, W y) {
  W s = W();
  mac(s, x, y);
  return s;
}
// Of steps state -> z + product * state, one a lane, those up to and with each lane's; false where a product is too large.
template <class V, bool BACK, class WV, class WA> __device__ bool scan_products(WV& z, WA& product, int rank) {
  bool large = !(size_of(product) <= LARGEST_POWER<V>);
  for (int d = 1; d < 32; d *= 2) {
    const WV earlier = from_before<BACK>(z, d);
    const WA factor = from_before<BACK>(product, d);
    if (rank >= d) {
      mac(z, product, earlier);
      product = times(product, factor);
    }
    large = large || !(size_of(product) <= LARGEST_POWER<V>);
  }
  return !__any_sync(ALL, large);
}

// The recurrence on a tile in registers. `tap(i, k)` is the coefficient of lane's sample i on the value k + 1 before.
template <class V, class A, int P, int M, bool BACK, bool VARYING> struct Solver {
  using WA = wide_t<A>;
  using WV = wide_t<V>;
  using Table = Powers<WA, P, M>;
  int lane;
  WA product = one<WA>();  // of varying coefficients over the tile, after `solve`

  __device__ int rank() const { return BACK ? 31 - lane : lane; }
  template <class T> __device__ static T before(T v, int d) { return from_before<BACK>(v, d); }
  // what follows from the right-hand side of sample n in a lane's order and the last values, newest first, which it joins;
  // FROM_ZERO says that they began as zeros, which cost nothing
  template <bool FROM_ZERO, class T, class F> __device__ static T step(int n, V side, T (&h)[P], F tap) {
    T sum = to<T>(side);
#pragma unroll
    for (int k = P - 1; k >= 0; --k)
      if (!FROM_ZERO || k < n) mac(sum, to<like_t<A, T>>(tap(sample(n), k)), h[k]);
#pragma unroll
    for (int k = P - 1; k > 0; --k) h[k] = h[k - 1];
    return h[0] = sum;
  }
  __device__ static constexpr int sample(int n) { return BACK ? M - 1 - n : n; }
  // v: right-hand sides, then outputs
  template <class F> __device__ static void run(V (&v)[M], V (&h)[P], F tap) {
#pragma unroll
    for (int n = 0; n < M; ++n) v[sample(n)] = step<false>(n, v[sample(n)], h, tap);
  }
  // the last values alone
  template <bool FROM_ZERO, class T, class F> __device__ static void end(const V (&v)[M], T (&h)[P], F tap) {
#pragma unroll
    for (int n = 0; n < M; ++n) step<FROM_ZERO>(n, v[sample(n)], h, tap);
  }

  // v: right-hand sides, then outputs. state: before the tile, then after it. mine: before the lane's samples.
  template <class F>
  __device__ void solve(V (&v)[M], WV (&state)[P], V (&mine)[P], F tap, const Table& powers, Way way) {
    WV z[P];
    if (way != IN_TURN && !end_states(v, state, z, tap, powers, way)) way = IN_TURN;
    V h[P];
    if (way == IN_TURN) {
      for (int turn = 0; turn < 32; ++turn) {
        if (rank() == turn) {
#pragma unroll
          for (int k = 0; k < P; ++k) h[k] = mine[k] = to<V>(state[k]);
          run(v, h, tap);
        }
#pragma unroll
        for (int k = 0; k < P; ++k) state[k] = to<WV>(from_lane(h[k], BACK ? 31 - turn : turn));
      }
      return;
    }
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const V earlier = before(to<V>(z[k]), 1);
      mine[k] = rank() ? earlier : to<V>(state[k]);
    }
    if constexpr (EXACT<V> && !VARYING)
      if (way == CAREFUL) refine(v, mine, tap, powers);
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = mine[k];
    run(v, h, tap);
    const unsigned lost = __ballot_sync(ALL, !is_finite(h[0]));
    if (lost) {
      asm volatile("");  // a branch, which is rarely taken: else each sample costs a select
      if (BACK ? (lost >> lane) >> 1 : lost << (31 - lane) << 1) {
#pragma unroll
        for (int i = 0; i < M; ++i) v[i] = nan_of<V>();
#pragma unroll
        for (int k = 0; k < P; ++k) h[k] = nan_of<V>();
      }
    }
#pragma unroll
    for (int k = 0; k < P; ++k) state[k] = to<WV>(from_lane(h[k], BACK ? 0 : 31));
    if (!EXACT<V> && way == CAREFUL && !lost)
#pragma unroll
      for (int k = 0; k < P; ++k) state[k] = from_lane(z[k], BACK ? 0 : 31);
  }

  // the true state after each lane's samples; false where products of varying coefficients are too large
  template <class F>
  __device__ bool end_states(const V (&v)[M], const WV (&state)[P], WV (&z)[P], F tap, const Table& powers, Way way) {
    if (!EXACT<V> && way == CAREFUL) {
#pragma unroll
      for (int k = 0; k < P; ++k) z[k] = WV();
      end<true>(v, z, tap);
    } else {
      V h[P] = {};
      end<true>(v, h, tap);
#pragma unroll
      for (int k = 0; k < P; ++k) z[k] = to<WV>(h[k]);
    }
    WV old[P];
#pragma unroll
    for (int k = 0; k < P; ++k) old[k] = state[k];
    if constexpr (VARYING) {
#pragma unroll
      for (int i = 0; i < M; ++i) product = times(product, to<WA>(tap(i, 0)));
      if (rank() == 0) mac(z[0], product, old[0]);
      const bool small = scan_products<V, BACK>(z[0], product, rank());
      product = from_lane(product, BACK ? 0 : 31);
      return small;
    } else {
      if (rank() == 0) powers[0].template apply<BACK>(z, old);
      scan(z, powers);
      return true;
    }
  }
  // z: what each lane adds, then the sum of what it and those before add
  __device__ void scan(WV (&z)[P], const Table& powers) const {
    WV old[P];
#pragma unroll
    for (int i = 0; i < 5; ++i) {
#pragma unroll
      for (int k = 0; k < P; ++k) old[k] = before(z[k], 1 << i);
      if (rank() >= 1 << i) powers[i].template apply<BACK>(z, old);
    }
  }
  // Mends what lanes start from: a run from there ends where the next lane starts, but for what the scan lost. That is
  // small, and so is what is lost in scanning it.
  template <class F> __device__ void refine(const V (&v)[M], V (&mine)[P], F tap, const Table& powers) const {
    V z[P];
#pragma unroll
    for (int k = 0; k < P; ++k) z[k] = mine[k];
    end<false>(v, z, tap);
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const V earlier = before(z[k], 1);
      z[k] = rank() ? minus(earlier, mine[k]) : V();
    }
    scan(z, powers);
#pragma unroll
    for (int k = 0; k < P; ++k) add(mine[k], z[k]);
  }
};

// What one instantiation of the fast kernels is made of. X, Y, B, A: how x, y, feedforward and feedback are stored; P, Q:
// past outputs and inputs; VB, VA: whether feedforward and feedback vary; LANE: bytes of a tile that a lane owns.
template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE> struct Filter {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  // half types: y from a rounded start would be worse than y rounded sample by sample, whose errors average out
  static constexpr bool READS_Y = sizeof(Y) == 2;
  static constexpr int M = LANE / int(sizeof(V)), K = 32 * M, HALO = round_up(largest(Q, largest(VA ? 1 : 0, READS_Y ? P : 0)), M);
  static constexpr int P1 = largest(P, 1);  // arrays have an element even where there is none
  using Row = Tile<V, M, HALO>;
  using RowA = Tile<A, M, HALO>;
  // slots' worth of what feedforward and feedback reach
  static constexpr int REACH = round_up(Q, Row::E), REACH_Y = round_up(P, Row::E);

  B b[Q + 1];
  A a[P1];

  __device__ Filter(const Problem& p, const Place& w) {
#pragma unroll
    for (int j = 0; j <= Q; ++j) {
      b[j] = p.b.at ? B() : one<B>();
      if (!VB && p.b.at) b[j] = load(at<const B>(p.b, w.b, w.c) + j * p.b.tap);
    }
#pragma unroll
    for (int k = 0; k < P; ++k) {
      a[k] = A();
      if (!VA) a[k] = load(at<const A>(p.a, w.b, w.c) + k * p.a.tap);
    }
  }
  // tap j of the sample at t
  __device__ B forward_tap(const Problem& p, const Place& w, int j, i64 t) const {
    if (!VB) return b[j];
    if (t < 0 || t >= p.length) return B();
    return load(at<const B>(p.b, w.b, w.c) + t * p.b.time + j * p.b.tap);
  }
  // shared memory: the tile of a shared x, the rows' tiles, and their powers or their varying feedback
  __device__ static Row row_of(unsigned char* memory, int n) { return {(V*)memory + n * Row::SIZE}; }
  // the first tap of every sample, as a signal
  __device__ static Signal varying(const Taps& taps) {
    return {taps.at, taps.batch, taps.channel, taps.time, taps.access};
  }
};
