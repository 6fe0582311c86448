// Where channels lie next to each other. A lane is a channel, and a warp a run of consecutive samples. Of half types a
// lane is two channels, and what is said of a warp here is true of each half of one.
//
// A block is 32 rows and some warps; a tile of time is as many runs. Every warp reads its run, so that a sample of all
// rows is one access of neighbours, runs it from zero state in registers, and tells the end state. After one barrier
// each warp folds the ends of those before it with a power of the companion matrix, in double, and runs again from its
// true state. Nothing is transposed, and nothing goes from lane to lane.

// Where a lane and its warp stand. Lanes without a row read the last one's, and write nothing. Rows of a part, which is
// an example, or all of them where x is not shared, are cut into groups of 32.
struct Lanes {
  int lane, warp, warps;  // of half a warp, if lanes have two channels
  i64 b, c, row, group, segment;  // of the first channel
  bool has_next, next_example;    // where the second one is, if any
  int active;                     // channels that are the lane's own

  __device__ Lanes(const Problem& p, i64 item, int channels) {
    const int lanes = 32 / channels;
    lane = threadIdx.x % lanes;
    warp = threadIdx.x / lanes;
    warps = blockDim.x / lanes;
    segment = item % p.segments;
    group = item / p.segments;
    const i64 parts = p.items / (p.groups * p.segments), rows = p.batch * p.channels / parts;
    const i64 mine = group % p.groups * 32 + lane * channels, last = (rows - 1) / channels * channels;
    const i64 first = mine < rows ? mine : last;
    has_next = channels > 1 && first + 1 < rows;
    active = mine >= rows ? 0 : has_next ? 3 : 1;
    row = group / p.groups * rows + first;
    b = row / p.channels;
    c = row % p.channels;
    next_example = c + 1 == p.channels;
  }
  // where the first sample or tap is
  template <class S, class F> __device__ at_t<S> at(const F& s) const {
    const i64 apart = !has_next ? 0 : next_example ? s.batch - c * s.channel : s.channel;
    return At<S>::of(s.at, b * s.batch + c * s.channel, apart, steps_of(s));
  }
  // of what is laid out as (row, segment, number)
  template <class S> __device__ at_t<S> own(void* all, const Problem& p, int count) const {
    return At<S>::of(all, (row * p.segments + segment) * count, has_next ? p.segments * count : 0, 1);
  }
  __device__ static i64 steps_of(const Signal& s) { return s.time; }
  __device__ static i64 steps_of(const Taps& s) { return s.time | s.tap; }
  // the warp's run in a tile
  __device__ i64 run(int tile) const { return i64(tile) * warps + warp; }
};
// the same, for paths that are rarely taken
__device__ inline Lanes rarely(Lanes w) {
  w.b = only_here(w.b);
  w.c = only_here(w.c);
  return w;
}

// What one instantiation of these kernels is made of: as for `Filter`; S: samples of a run; BACK: the adjoint, in which
// time runs backwards and what is handed on are N lambdas, since feedforward may reach further than feedback.
template <class X, class Y, class B, class A, int P, int Q, bool VB, bool VA, int S, bool SHARED, bool BACK>
struct Channels {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using WA = wide_t<A>;
  using XV = compute_t<X>;
  static constexpr int RUNS = CHANNELS<Y>, LANES = 32 / RUNS;  // of a warp
  static constexpr int N = BACK ? largest(P, Q) : P, N1 = largest(N, 1), P1 = largest(P, 1);
  static constexpr int STATES = N1 + (VA ? 1 : 0), POWERS = VA ? 0 : N * P;
  static constexpr int E = 16 / int(sizeof(XV)), HALO = round_up(Q, E), BUFFERS = !SHARED ? 0 : BACK ? 3 : 2;
  static_assert(S >= N && (!VA || N == 1) && S % E == 0);
};

// The shared memory of a block: what runs tell each other, powers of the lanes' companion matrices, and a shared x.
template <class F> struct Board {
  using W = typename F::W;
  using WA = typename F::WA;
  using XV = typename F::XV;
  unsigned char* bytes;
  int lane, rank, warps, round = 0;  // `rank`: of the warp, in the order in which time is run

  __device__ W& told(int at_round, int place, int k) const {
    return ((W*)bytes)[(((at_round & 1) * (warps + 1) + place) * F::STATES + k) * F::LANES + lane];
  }
  __device__ int told_bytes() const { return int(sizeof(W)) * 2 * F::LANES * F::STATES * (warps + 1); }
  // the state with which a tile begins
  __device__ W& carried(int at_round, int k) const { return told(at_round, 0, k); }
  __device__ WA& power(int i, int j) const {
    return ((WA*)(bytes + told_bytes()))[(i * F::P1 + j) * F::LANES + lane];
  }
  __device__ int& flag(int of) const {
    const int powers = int(sizeof(WA)) * F::LANES * F::POWERS;
    return ((int*)(bytes + told_bytes() + powers))[of * F::LANES + lane];
  }
  // samples of a shared x, of which HALO lie before the tile
  template <int S> __device__ XV* samples(int buffer) const {
    return (XV*)(&flag(warps) - lane) + buffer * (F::HALO + warps * S);
  }
  // of losses, before there is anything to tell
  __device__ double& loss(int column, int n) const { return ((double*)bytes)[(column * 2 + n) * F::LANES + lane]; }

  // state = what follows a run, of which `at_round` knows the end
  __device__ void step(W (&state)[F::N1], const WA (&powers)[largest(F::POWERS, 1)], int at_round, int of) const {
    W old[F::N1];
#pragma unroll
    for (int k = 0; k < F::N; ++k) {
      old[k] = state[k];
      state[k] = told(at_round, 1 + of, k);
    }
    if constexpr (F::STATES > F::N1) mac(state[0], to<WA>(told(at_round, 1 + of, F::N1)), old[0]);
    else {
#pragma unroll
      for (int i = 0; i < F::POWERS; ++i) mac(state[i / F::P1], powers[i], old[i % F::P1]);
    }
  }
  // the same over several runs
  __device__ void fold(W (&state)[F::N1], int at_round, int from, int to) const {
    WA powers[largest(F::POWERS, 1)];
#pragma unroll
    for (int i = 0; i < F::POWERS; ++i) powers[i] = power(i / F::P1, i % F::P1);
#pragma unroll 2
    for (int r = from; r < to; ++r) step(state, powers, at_round, r);
  }
};
