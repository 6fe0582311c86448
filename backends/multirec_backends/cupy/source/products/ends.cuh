// What segments hand on: the product of their companion matrices, and their end state from zero state; and what these make
// of the state that a row begins with.

// Phase 1: lane j < P of a team runs what follows from the j-th past value alone, and lane P what follows from the drivers.
// The last segment hands nothing on. Where a value is too large, the product's first number says so: it is NaN.
template <class X, class Y, class B, class A, int P, bool BACK> __device__ void products_ends(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  constexpr int LANES = lanes_for(P + 1);
  using S = Stage<A, wide_t<compute_t<A>>, W, P, LANES, BACK>;
  extern __shared__ __align__(16) unsigned char memory[];
  const i64 samples = p.tiles * S::K;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const Team<LANES> w(p, item, p.segments - 1);
    S stage(p, w, memory);
    Drivers<X, Y, B, S, LANES, BACK> drivers;
    const bool is_driven = w.member == P;
    const double most = is_driven ? LARGEST_START<V, P> : LARGEST_GROWTH<V>;
    const i64 from = w.segment * samples, stop = from + samples;
    W past[P];
#pragma unroll
    for (int k = 0; k < P; ++k) past[P - 1 - k] = k == w.member ? one<W>() : W();
    bool large = false;
    stage.put_before(p, w, from);
    for (i64 n = -1; n < p.tiles; ++n) {
      const int half = int(n & 1);
      __syncwarp();
      if (n >= 0) {
        stage.put(half);
        drivers.put(w, stage.values);
        __syncwarp();
      }
      stage.fetch(p, w, from + (n + 1) * S::K, stop);
      drivers.fetch(p, w, from + (n + 1) * S::K, stop);
      if (n < 0 || !w.active || w.member > P) continue;
      stage.run(past, half, [&](int u) { return is_driven ? stage.values[u] : W(); }, [&](int, const W(&results)[RUN<P>]) {
#pragma unroll
        for (int i = 0; i < RUN<P>; ++i) large |= !within(results[i], most);
      });
    }
    const unsigned team = ALL >> (32 - LANES) << w.number * LANES;
    const bool marked = __ballot_sync(ALL, large) & team;
    if (w.active && w.member <= P) {
      W* end = (W*)p.ends + ((w.row * p.segments + w.segment) * (P + 1) + w.member) * P;
#pragma unroll
      for (int k = 0; k < P; ++k) end[k] = k == 0 && w.member == 0 && marked ? nan_of<W>() : past[P - 1 - k];
    }
    __syncwarp();
  }
}

// Steps from segment to segment: a block a row, whose first warp computes, one number of the state a lane, while all of it
// reads ahead. Says which rows have a product or a state that is too large; these are computed in turn. After phase 2 it
// mends the start states by what the segments that ran from them leave between one's end and the next one's start.
template <class X, class Y, class B, class A, int P, bool BACK> __device__ void products_carry(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  constexpr int THREADS = 128, SIZE = P * (P + 1), CHUNK = CARRY_NUMBERS / SIZE < 64 ? CARRY_NUMBERS / SIZE : 64;
  constexpr int OWN = (CHUNK * SIZE + THREADS - 1) / THREADS, PARTS = 4;
  extern __shared__ __align__(16) unsigned char memory[];
  W* const maps = (W*)memory;
  W* const states = maps + CHUNK * SIZE;  // two
  const int lane = threadIdx.x;
  const bool mends = EXACT<V> && p.phase == 2;
  for (i64 row = blockIdx.x; row < p.batch * p.channels; row += gridDim.x) {
    if (mends && ((const i64*)p.again)[row]) continue;
    const W* ends = (const W*)p.ends + row * p.segments * SIZE;
    W* const starts = (W*)p.starts + row * p.segments * P;
    const i64 all = p.segments - 1;
    W next[OWN], map[P], state = W();
    auto fetch = [&](i64 first) {
      const i64 count = least(CHUNK, all - first) * SIZE;
#pragma unroll
      for (int n = 0; n < OWN; ++n)
        next[n] = lane + n * THREADS < count ? load(ends + first * SIZE + lane + n * THREADS) : W();
    };
    if (lane < P) {
      if (!BACK && !mends && p.outputs.at && lane < p.order)
        state = to<W>(load(at<const state_t<Y>>(p.outputs, row / p.channels, row % p.channels) +
                           (p.order - 1 - lane) * p.outputs.time));
      states[lane] = state;
      if (!mends) starts[lane] = state;
    }
    bool large = !within(state, LARGEST_START<V, P>);
    int turn = 0;
    fetch(0);
    for (i64 first = 0; first < all; first += CHUNK) {
      const int count = int(least(CHUNK, all - first));
#pragma unroll
      for (int n = 0; n < OWN; ++n)
        if (lane + n * THREADS < CHUNK * SIZE) maps[lane + n * THREADS] = next[n];
      __syncthreads();
      fetch(first + CHUNK);
      auto read = [&](int j) {
#pragma unroll
        for (int k = 0; k < P; ++k) map[k] = maps[j * SIZE + k * P + lane];
      };
      if (lane < 32) {
        if (lane < P) read(0);
        for (int j = 0; j < count; ++j) {
          if (lane < P) {
            W part[PARTS] = {maps[j * SIZE + P * P + lane]}, assumed = W();
            if (mends) {
              assumed = starts[(first + j + 1) * P + lane];
              part[0] = minus(part[0], assumed);
            }
#pragma unroll
            for (int k = 0; k < P; ++k) mac(part[k % PARTS], map[k], states[turn * P + k]);
#pragma unroll
            for (int n = 1; n < PARTS; ++n) add(part[0], part[n]);
            state = part[0];
            // so is what follows from a product that is marked
            large |= !within(state, LARGEST_START<V, P>);
            turn = 1 - turn;
            states[turn * P + lane] = state;
            if (mends) add(assumed, state);
            starts[(first + j + 1) * P + lane] = mends ? assumed : state;
            if (j + 1 < count) read(j + 1);
          }
          __syncwarp();
        }
      }
      __syncthreads();
    }
    if (lane < 32 && !mends) {
      large = __any_sync(ALL, large);
      if (lane == 0) ((i64*)p.again)[row] = large;
    }
    __syncthreads();
  }
}
