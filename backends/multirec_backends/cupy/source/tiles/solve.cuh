// The recurrence on a tile, and what the fast kernels are made of.

// The recurrence on a tile in registers. `tap(i, k)` is the coefficient of lane's sample i on the value k + 1 before.
template <class V, class A, int P, int M, class Row, bool BACK, bool VARYING> struct Solver {
  using WA = wide_t<A>;
  using WV = wide_t<V>;
  using Table = Powers<WA, P, M>;
  int lane;
  WA product = one<WA>();  // of varying coefficients over the tile, after `solve`

  __device__ int rank() const { return BACK ? 31 - lane : lane; }
  template <class T> __device__ static T before(T v, int d) { return from_before<BACK>(v, d); }
  // h: the last values, newest first; FROM_ZERO says that they begin as zeros, which cost nothing
  template <bool FROM_ZERO, class F> __device__ static void run(V (&v)[M], V (&h)[P], F tap) {
#pragma unroll
    for (int n = 0; n < M; ++n) {
      int i = BACK ? M - 1 - n : n;
      V sum = v[i];
#pragma unroll
      for (int k = P - 1; k >= 0; --k)
        if (!FROM_ZERO || k < n) mac(sum, tap(i, k), h[k]);
#pragma unroll
      for (int k = P - 1; k > 0; --k) h[k] = h[k - 1];
      h[0] = v[i] = sum;
    }
  }
  // v: right-hand sides, then outputs, unless only the state after the tile is asked for. state: before the tile, then
  // after it. mine: before the lane's samples; `known` may write what is known of that better than from a scan.
  template <class F, class G>
  __device__ void solve(V (&v)[M], V (&state)[P], V (&mine)[P], F tap, const Table& powers, G known, bool only_end = false) {
    WV z[P];
    V h[P];
    if (!end_states(v, state, z, tap, powers)) {
      for (int turn = 0; turn < 32; ++turn) {
        if (rank() == turn) {
#pragma unroll
          for (int k = 0; k < P; ++k) h[k] = mine[k] = state[k];
          run<false>(v, h, tap);
        }
#pragma unroll
        for (int k = 0; k < P; ++k) state[k] = from_lane(h[k], BACK ? 31 - turn : turn);
      }
      return;
    }
    if (only_end) {
#pragma unroll
      for (int k = 0; k < P; ++k) state[k] = from_lane(to<V>(z[k]), BACK ? 0 : 31);
      return;
    }
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const V earlier = before(to<V>(z[k]), 1);
      mine[k] = rank() ? earlier : state[k];
    }
    known();
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = mine[k];
    run<false>(v, h, tap);
    if (const unsigned lost = __ballot_sync(ALL, !is_finite(h[0]))) {
      asm volatile("");  // a branch, which is rarely taken: else each sample costs a select
      if (is_lost(lost)) {
#pragma unroll
        for (int i = 0; i < M; ++i) v[i] = nan_of<V>();
#pragma unroll
        for (int k = 0; k < P; ++k) h[k] = nan_of<V>();
      }
    }
#pragma unroll
    for (int k = 0; k < P; ++k) state[k] = from_lane(h[k], BACK ? 0 : 31);
  }
  // whether an earlier lane is among those that met what is not finite
  __device__ bool is_lost(unsigned lost) const { return BACK ? (lost >> lane) >> 1 : lost << (31 - lane) << 1; }

  // the true state after each lane's samples; false where products of varying coefficients are too large
  template <class F>
  __device__ bool end_states(const V (&v)[M], const V (&state)[P], WV (&z)[P], F tap, const Table& powers) {
    V h[P], copy[M];
#pragma unroll
    for (int i = 0; i < M; ++i) copy[i] = v[i];
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = V();
    run<true>(copy, h, tap);
    WV old[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      z[k] = to<WV>(h[k]);
      old[k] = to<WV>(state[k]);
    }
    if constexpr (VARYING) {
#pragma unroll
      for (int i = 0; i < M; ++i) product = times(product, to<WA>(tap(i, 0)));
      if (rank() == 0) mac(z[0], product, old[0]);
      const bool small = scan_products<V, BACK>(z[0], product, rank());
      product = from_lane(product, BACK ? 0 : 31);
      return small;
    } else {
      if (rank() == 0) powers[0].template apply<BACK>(z, old);
      scan<5>(z, powers);
      return true;
    }
  }
  // z: what each lane adds, then the sum of what it and those before add
  template <int UNROLL> __device__ void scan(WV (&z)[P], const Table& powers) const {
    WV old[P];
#pragma unroll UNROLL
    for (int i = 0; i < 5; ++i) {
#pragma unroll
      for (int k = 0; k < P; ++k) old[k] = before(z[k], 1 << i);
      if (rank() >= 1 << i) powers[i].template apply<BACK>(z, old);
    }
  }

  // The same for careful rows, in the tile, where right-hand sides become outputs: loops are short, and cost other rows no
  // registers. Float: the scan is all in double, and `wide`, in shared memory, is the state of the tile before and then of
  // this one. Double: the scan is done again for what it lost. A run from its starts ends where the next lane starts, but
  // for that; the difference is small, and so is what is lost in scanning it. Where powers are too large to scan with, lanes
  // take turns.
  template <class F>
  __device__ void solve_carefully(const Row& tile, V (&state)[P], V (&mine)[P], F tap, const Table& powers, WV* wide,
                                  bool in_turn) const {
    V h[P];
    if (in_turn) {
      for (int turn = 0; turn < 32; ++turn) {
        if (rank() == turn) {
#pragma unroll
          for (int k = 0; k < P; ++k) h[k] = mine[k] = state[k];
          run_tile<true>(tile, h, tap);
        }
#pragma unroll
        for (int k = 0; k < P; ++k) state[k] = from_lane(h[k], BACK ? 31 - turn : turn);
      }
      return;
    }
    WV z[P], old[P];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      z[k] = WV();
      old[k] = wide && is_finite(state[0]) ? wide[k] : to<WV>(state[k]);
    }
    run_tile<false>(tile, z, tap);
    if (rank() == 0) powers[0].template apply<BACK>(z, old);
    scan<1>(z, powers);
    __syncwarp();
    if (wide && rank() == 31)
#pragma unroll
      for (int k = 0; k < P; ++k) wide[k] = z[k];
#pragma unroll
    for (int k = 0; k < P; ++k) {
      const V earlier = before(to<V>(z[k]), 1);
      mine[k] = rank() ? earlier : state[k];
    }
    if constexpr (EXACT<V>) {
#pragma unroll
      for (int k = 0; k < P; ++k) z[k] = mine[k];
      run_tile<false>(tile, z, tap);
#pragma unroll
      for (int k = 0; k < P; ++k) {
        const V earlier = before(z[k], 1);
        z[k] = rank() ? minus(earlier, mine[k]) : V();
      }
      scan<1>(z, powers);
#pragma unroll
      for (int k = 0; k < P; ++k) add(mine[k], z[k]);
    }
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = mine[k];
    run_tile<true>(tile, h, tap);
    const unsigned lost = __ballot_sync(ALL, !is_finite(h[0]));
    if (is_lost(lost)) {
      for (int i = 0; i < M; ++i) tile[lane * M + i] = nan_of<V>();
#pragma unroll
      for (int k = 0; k < P; ++k) h[k] = nan_of<V>();
    }
#pragma unroll
    for (int k = 0; k < P; ++k) state[k] = from_lane(h[k], BACK ? 0 : 31);
  }
  // the lane's samples in the tile, in T's precision; h as in `run`
  template <bool WRITES, class T, class F> __device__ void run_tile(const Row& tile, T (&h)[P], F tap) const {
    using AT = like_t<A, T>;
    AT a[P];
#pragma unroll
    for (int k = 0; k < P; ++k) a[k] = to<AT>(only_here(tap(0, k)));
    constexpr int E = Row::E;
    const int first = only_here(lane) * M;
    auto slot = [&](int n) -> Pack<V, E>& { return tile.slot(first, BACK ? M - E - n : n); };
    Pack<V, E> next = slot(0);
#pragma unroll 1
    for (int n = 0; n < M; n += E) {
      Pack<V, E> values = next;
      next = slot(n + E < M ? n + E : n);
#pragma unroll
      for (int e = 0; e < E; ++e) {
        V& value = values.values[BACK ? E - 1 - e : e];
        T sum = to<T>(value);
#pragma unroll
        for (int k = P - 1; k >= 0; --k) mac(sum, a[k], h[k]);
#pragma unroll
        for (int k = P - 1; k > 0; --k) h[k] = h[k - 1];
        h[0] = sum;
        if (WRITES) value = to<V>(sum);
      }
      if (WRITES) slot(n) = values;
    }
  }
};

// What one instantiation of the fast kernels is made of. X, Y, B, A: how x, y, feedforward and feedback are stored; P, Q:
// past outputs and inputs; VB, VA: whether feedforward and feedback vary; LANE: bytes of a tile that a lane owns.
template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int LANE> struct Filter {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  static constexpr int M = LANE / int(sizeof(V)), K = 32 * M, HALO = round_up(largest(P, Q), M);
  static constexpr int P1 = largest(P, 1);  // arrays have an element even where there is none
  // of a row's tile in shared memory
  template <class S> static constexpr int BYTES = (K + 2 * HALO) * int(sizeof(S)) + 16;
  // y and its gradient pass through the tile that they are computed in
  using Row = Tile<V, M, HALO, BYTES<V>>;
  using RowOfX = Tile<X, M, HALO, BYTES<X>>;
  using RowOfY = Tile<Y, M, HALO, BYTES<Y>>;
  using RowOfA = Tile<A, M, HALO, BYTES<A>>;
  template <bool BACK> using Solves = Solver<V, A, P, M, Row, BACK, VA>;
  // slots' worth of what feedforward and feedback reach
  static constexpr int REACH = round_up(Q, RowOfX::E), REACH_Y = round_up(P, RowOfY::E);

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
  // the first tap of every sample, as a signal
  __device__ static Signal varying(const Taps& taps) {
    return {taps.at, taps.batch, taps.channel, taps.time, taps.access};
  }
};
