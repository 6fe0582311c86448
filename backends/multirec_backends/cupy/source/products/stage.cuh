// Feedback of order 2 and above that varies, and constant feedback of orders above 16: how the work is laid out.
//
// A row is cut into segments of time, and a warp serves several of them, each by a *team* of lanes. A team reads tiles of
// coefficients, one tap a lane, through shared memory; one of its lanes then steps through the samples of the tile with its
// past values in registers. Loads of the next tile are on their way meanwhile.
//
// Samples are counted in the order in which they are computed. In the adjoint (BACK) that is from the last to the first:
// lambda[t] depends on lambda[t + 1 + k] by the conjugate of a[t + 1 + k, k], so it is the same recurrence with coefficients
// along a diagonal. They are read sample by sample like all others, and put where their diagonals are. The adjoint goes on for
// P samples before the beginning, where only coefficients of existing samples count: these are the gradients of past outputs.
//
// Where a row has several segments, phase 1 (`products_ends`) gives each one's end state from zero state, and the product of
// its companion matrices, in double; `products_carry` steps from segment to segment with these; and phase 2 runs every segment
// from its true state. No products are multiplied by each other, so the rounding of states is that of a run sample by sample.

// The largest element of a segment's product, up to which its start state is exact enough: it is the difference of numbers
// that are so much larger. In double it is mended once, and what mending leaves grows with the fourth power of this.
template <class V> constexpr double LARGEST_GROWTH = same<typename Number<V>::real, float> ? 1e6 : 1e3;

// lanes of a team that needs so many: some more read ahead faster
__host__ __device__ constexpr int lanes_for(int needed) { return largest(needed, 8); }
// samples that are computed without access to shared memory in between, which nothing could be moved past: a multiple of P,
// so that each past value has the same register after them
template <int P> constexpr int RUN = largest(1, 8 / P) * P;
// samples of a tile
template <class A, int P> constexpr int TILE = largest(1, (sizeof(A) > 4 ? 16 : 32) / RUN<P>) * RUN<P>;

// The largest start state, and what follows from drivers, of which no sample in between can leave the range of V: what
// comes after such a sample is not finite, but its segment's end may be.
template <class V, int P>
constexpr double LARGEST_START = (EXACT<V> ? 1.7976931348623157e308 : 3.4028234663852886e38) / (4 * P * LARGEST_GROWTH<V>);
// whether a number is at most so large, in one instruction for each of its parts; one that is none is not
__device__ inline bool within(double v, double most) { return fabs(v) <= most; }
__device__ inline bool within(Complex<double> v, double most) { return within(v.re, most) & within(v.im, most); }
// numbers that a block of `products_carry` reads at once
constexpr int CARRY_NUMBERS = 2048;

__device__ inline i64 least(i64 a, i64 b) { return a < b ? a : b; }

// Which segment a lane serves. Teams of a warp are neighbours in rows first, since these may be neighbours in memory.
template <int LANES> struct Team {
  static constexpr int COUNT = 32 / LANES;
  i64 row, segment, b, c;
  int number, member;
  bool active;
  __device__ Team(const Problem& p, i64 item, i64 segments) {
    const i64 rows = p.batch * p.channels, index = item * COUNT + threadIdx.x / LANES;
    active = int(threadIdx.x) < COUNT * LANES && index < rows * segments;
    number = active ? int(threadIdx.x) / LANES : 0;
    member = active ? int(threadIdx.x) % LANES : 0;
    row = active ? index % rows : 0;
    segment = active ? index / rows : 0;
    b = row / p.channels;
    c = row % p.channels;
  }
};

// A team's tile: its coefficients as C, and its values as V, those of P samples before it included.
template <class A, class C, class V, int P, int LANES, bool BACK> struct Stage {
  static constexpr int K = TILE<A, P>;
  static constexpr int ROWS = BACK ? 2 * K : K;       // a diagonal reaches into the next tile
  static constexpr int E = largest(1, 16 / int(sizeof(C)));
  static constexpr int WIDTH = round_up(P, E);        // of a sample's coefficients
  static constexpr int SPAN = largest(1, LANES / P);   // samples whose coefficients are read at once
  static constexpr int OWN = (K + LANES - 1) / LANES;  // values of a lane
  // an odd number of slots, so that teams are on different banks
  static constexpr int SIZE = round_up(ROWS * WIDTH * int(sizeof(C)) + (P + K) * int(sizeof(V)), 32) + 16;

  C* taps;
  V* values;  // of the tile; before these those before it, of which -1 is the newest
  compute_t<A> next[K / SPAN];
  int own_tap, own_sample;
  bool reads;

  __device__ Stage(const Problem& p, const Team<LANES>& w, unsigned char* memory)
      : taps((C*)(memory + w.number * SIZE)), values((V*)(memory + w.number * SIZE + ROWS * WIDTH * sizeof(C)) + P),
        own_tap(w.member % P), own_sample(w.member / P), reads(w.active && w.member < P * SPAN) {}

  // reads the coefficients of the tile that begins with sample `from`, as far as `stop`
  __device__ void fetch(const Problem& p, const Team<LANES>& w, i64 from, i64 stop) {
    const i64 t = BACK ? p.length - from : from, left = stop - from, exist = BACK ? t + 1 : p.length - t;
    const bool any = reads && own_tap < p.order && left > 0;  // far behind `stop`, `left` has more than 32 bits
    const int first = BACK && from == 0, last = any ? int(least(K, least(left, exist))) : 0;
    if constexpr (FRAMED<A>) {
      const A* const at_tap = at<const A>(p.a, w.b, w.c) + own_tap * p.a.tap;
      const int step = BACK ? -1 : 1;
      Quotient place = divided(t + p.a.offset + step * own_sample, p.a.hop);
#pragma unroll
      for (int n = 0; n < K / SPAN; ++n) {
        const int u = n * SPAN + own_sample;
        next[n] = u >= first && u < last ? between(p.a, at_tap, place.whole, place.rest) : compute_t<A>();
        place.rest += step * SPAN;
        if (place.rest >= p.a.hop) place.rest -= p.a.hop, ++place.whole;
        if (place.rest < 0) place.rest += p.a.hop, --place.whole;
      }
    } else {
      const i64 step = BACK ? -p.a.time : p.a.time;
      const A* at_tap = at<const A>(p.a, w.b, w.c) + t * p.a.time + own_tap * p.a.tap + own_sample * step;
#pragma unroll
      for (int n = 0; n < K / SPAN; ++n) {
        const int u = n * SPAN + own_sample;
        next[n] = u >= first && u < last ? load(at_tap) : compute_t<A>();
        at_tap += SPAN * step;
      }
    }
  }
  // writes them to where they are needed; `half` is that of the tile, where there are two
  __device__ void put(int half) {
    if (!reads) return;
#pragma unroll
    for (int n = 0; n < K / SPAN; ++n) {
      int row = n * SPAN + own_sample;
      if (BACK) {
        row += half * K + own_tap;
        if (row >= ROWS) row -= ROWS;
      }
      taps[row * WIDTH + own_tap] = BACK ? conj(to<C>(next[n])) : to<C>(next[n]);
    }
  }
  // what diagonals bring to the first tile from the samples of the one before it
  __device__ void put_before(const Problem& p, const Team<LANES>& w, i64 from) {
    if constexpr (BACK) {
      if (!reads || own_sample) return;
      for (int row = 0; row < own_tap; ++row) {
        const i64 t = p.length - from + own_tap - row;
        const bool exists = t >= 0 && t < p.length && own_tap < p.order;
        taps[row * WIDTH + own_tap] = exists ? conj(to<C>(tap<A>(p.a, w.b, w.c, t, own_tap))) : C();
      }
    }
  }
  // steps through the tile, from what drives sample u; calls done(u, results) after each run of samples from u on
  template <class START, class DONE> __device__ void run(V (&past)[P], int half, START start, DONE done) const {
    const C* row = taps + (BACK ? half * K * WIDTH : 0);
#pragma unroll 1
    for (int u = 0; u < K; u += RUN<P>) {
      V results[RUN<P>];
#pragma unroll
      for (int i = 0; i < RUN<P>; ++i) {
        results[i] = start(u + i);
        C a[WIDTH];
#pragma unroll
        for (int k = 0; k < WIDTH; k += E) {
          const Pack<C, E> pack = *(const Pack<C, E>*)(row + (u + i) * WIDTH + k);
#pragma unroll
          for (int e = 0; e < E; ++e) a[k + e] = pack.values[e];
        }
#pragma unroll
        for (int k = P - 1; k >= 0; --k) mac(results[i], a[k], past[(i + 2 * P - 1 - k) % P]);
        past[i % P] = results[i];
      }
      done(u, results);
    }
  }
  // the same where the values are what drives and what results
  __device__ void run(V (&past)[P], int half) const {
    run(past, half, [&](int u) { return values[u]; }, [&](int u, const V(&results)[RUN<P>]) {
#pragma unroll
      for (int i = 0; i < RUN<P>; ++i) values[u + i] = results[i];
    });
  }
};

// A lane's part of what drives a tile, on its way to shared memory: the gradient of y, or x after feedforward.
template <class X, class Y, class B, class S, int LANES, bool BACK> struct Drivers {
  using V = compute_t<Y>;
  V next[S::OWN];
  __device__ void fetch(const Problem& p, const Team<LANES>& w, i64 from, i64 stop) {
    // calls f(n, t, whether there is such a sample t), with loads that are predicated rather than branched around
    auto each = [&](auto f) {
#pragma unroll
      for (int n = 0; n < S::OWN; ++n) {
        const int u = w.member + n * LANES;
        const i64 t = BACK ? p.length - 1 - from - u : from + u;
        f(n, t, w.active && u < S::K && from + u < stop && t >= 0);
      }
    };
    if constexpr (BACK) {
      const Y* grad = at<const Y>(p.grad_y, w.b, w.c);
      each([&](int n, i64 t, bool exists) { next[n] = exists ? load(grad + t * p.grad_y.time) : V(); });
      if (!p.grad_last.at || from >= p.last) return;
      const state_t<Y>* last = at<const state_t<Y>>(p.grad_last, w.b, w.c);
      each([&](int n, i64 t, bool exists) {
        const i64 late = t - (p.length - p.last);
        if (exists && late >= 0) add(next[n], load(last + late * p.grad_last.time));
      });
    } else {
      const X* x = at<const X>(p.x, w.b, w.c);
      if (!p.b.at)
        return each([&](int n, i64 t, bool exists) { next[n] = exists ? to<V>(load(x + t * p.x.time)) : V(); });
#pragma unroll
      for (int n = 0; n < S::OWN; ++n) next[n] = V();
      const B* taps = at<const B>(p.b, w.b, w.c);
      const X* past = p.inputs.at ? at<const X>(p.inputs, w.b, w.c) + p.input_order * p.inputs.time : nullptr;
      // tap by tap, so that the loads of all samples are on their way at once
#pragma unroll 1
      for (i64 j = 0; j <= p.input_order; ++j, taps += p.b.tap)
        each([&](int n, i64 t, bool exists) {
          const i64 s = t - j;
          const bool inside = s >= 0, there = exists & (inside | (past != nullptr));
          const X* from = (inside ? x : past) + (there ? s * (inside ? p.x.time : p.inputs.time) : 0);
          compute_t<B> b = compute_t<B>();
          if constexpr (FRAMED<B>) b = exists ? tap<B>(p.b, w.b, w.c, t, j) : b;
          else b = exists ? load(taps + t * p.b.time) : b;
          mac(next[n], b, there ? to<V>(load(from)) : V());
        });
    }
  }
  template <class T> __device__ void put(const Team<LANES>& w, T* values) const {
#pragma unroll
    for (int n = 0; n < S::OWN; ++n) {
      const int u = w.member + n * LANES;
      if (w.active && u < S::K) values[u] = to<T>(next[n]);
    }
  }
};
