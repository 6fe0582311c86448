// Order 1, channels next to each other: a lane has a channel, and a warp runs neighbouring samples in registers.
//
// A tile is a run for each warp of a block. Every warp runs from zero state, hands on the end and the product of its
// coefficients, folds those of the runs before it, and runs again from its true state. A run in which a sequence begins
// hands on its end alone.

constexpr int GATES_RUN = 16, GATES_RUN_BACK = 8;  // samples
constexpr double LARGEST_GATES = 64;               // products; beyond, runs go one after another

// of a run's samples, as bits: which are none of padding, begin a sequence, or end one
struct RunBits {
  unsigned has, begins, ends;
  __device__ RunBits(const Marks& marks, i64 t0, int run) {
    const int lane = threadIdx.x & 31;
    const bool own = lane < run && marks.has(t0 + lane);
    has = __ballot_sync(ALL, own);
    begins = __ballot_sync(ALL, own && marks.begins(t0 + lane));
    ends = __ballot_sync(ALL, own && marks.ends(t0 + lane));
  }
  static __device__ bool at(unsigned bits, int u) { return bits >> u & 1; }
};

template <class V, class G> __device__ inline V times(G gate, V value) {
  V product = V();
  mac(product, gate, value);
  return product;
}

// What runs hand on, of two tiles in turn; every thread calls the same of these at the same time.
template <class V> struct GatesHand {
  V *products, *ends;
  int* cuts;
  int turn = 0;
  __device__ GatesHand(unsigned char* memory)
      : products((V*)memory), ends(products + 2 * blockDim.x), cuts((int*)(ends + 2 * blockDim.x)) {}
  // runs all warps of a block in order, or BACK, by `run(start, writes)`, which returns the end; returns that of them all
  template <bool BACK, class RUN> __device__ V through(V state, V product, bool cut, bool active, RUN run) {
    const int warp = threadIdx.x / 32, lane = threadIdx.x & 31, warps = blockDim.x / 32;
    V *const p = products + turn * blockDim.x, *const e = ends + turn * blockDim.x;
    int* const c = cuts + turn * warps;
    turn ^= 1;
    e[threadIdx.x] = run(V(), false);
    p[threadIdx.x] = product;
    if (lane == 0) c[warp] = cut;
    if (__syncthreads_or(active && !cut && magnitude(product) > LARGEST_GATES)) {
      for (int n = 0; n < warps; ++n) {
        const int w = BACK ? warps - 1 - n : n;
        if (w == warp) e[threadIdx.x] = run(state, true);
        __syncthreads();
        state = e[w * 32 + lane];
      }
      return state;
    }
    V start = state;
    for (int n = 0; n < warps; ++n) {
      const int w = BACK ? warps - 1 - n : n;
      if (w == warp) start = state;
      V end = e[w * 32 + lane];
      if (!c[w]) mac(end, p[w * 32 + lane], state);
      state = end;
    }
    run(start, true);
    return state;
  }
};

template <class X, class Y, class B, class A, bool DRIVEN> __device__ void sequences_gates_forward(const Problem& p) {
  using V = compute_t<Y>;
  constexpr int R = GATES_RUN;
  extern __shared__ __align__(16) unsigned char memory[];
  GatesHand<V> hand(memory);
  const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + lane;
    const bool active = c < p.channels;
    const Marks marks(p, b);
    const auto leave = [&](i64 s, V value) {
      if (active) store(at<state_t<Y>>(p.last_y, s, c), value);
    };
    const auto skip = [&](i64 s) { leave(s, active ? past_output<Y>(p, s, c, 0) : V()); };
    V state = active && !marks.count ? past_output<Y>(p, b, c, 0) : V();
    for (i64 tile = 0; tile < p.tiles; ++tile) {
      const i64 t0 = (tile * warps + warp) * R;
      const RunBits bits(marks, t0, R);
      V drive[R];
      compute_t<A> gates[R];
      V product = one<V>();
#pragma unroll
      for (int u = 0; u < R; ++u) {
        drive[u] = V(), gates[u] = compute_t<A>();
        if (!active || !RunBits::at(bits.has, u)) continue;
        drive[u] = to<V>(load(at<const X>(p.x, b, c) + (t0 + u) * p.x.time));
        if (DRIVEN) drive[u] = times(tap<B>(p.b, b, c, t0 + u, 0), drive[u]);
        gates[u] = tap<A>(p.a, b, c, t0 + u, 0);
        product = times(gates[u], product);
      }
      state = hand.template through<false>(state, product, bits.begins, active, [&](V h, bool writes) {
#pragma unroll
        for (int u = 0; u < R; ++u) {
          const bool has = RunBits::at(bits.has, u);
          if (RunBits::at(bits.begins, u)) {
            const int number = marks.of(t0 + u);
            h = active && marks.takes_state(number) ? past_output<Y>(p, marks.state(b, number), c, 0) : V();
            if (writes && marks.count) marks.skipped(t0 + u, skip);
          }
          if (has) {
            V sum = drive[u];
            mac(sum, gates[u], h);
            h = sum;
          }
          if (!writes || !active || t0 + u >= p.length) continue;
          store(at<Y>(p.y, b, c) + (t0 + u) * p.y.time, has ? h : V());
          if (marks.count && RunBits::at(bits.ends, u)) leave(marks.of(t0 + u), h);
        }
        return h;
      });
    }
    if (warp) continue;
    if (marks.count) marks.skipped(marks.end, skip);
    else leave(b, marks.first == marks.end || marks.of(marks.end - 1) == marks.after ? state : V());
  }
}

template <class X, class Y, class B, class A, bool DRIVEN> __device__ void sequences_gates_backward(const Problem& p) {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  constexpr int R = GATES_RUN_BACK;
  extern __shared__ __align__(16) unsigned char memory[];
  GatesHand<V> hand(memory);
  const int lane = threadIdx.x & 31, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const bool wants_taps = (p.wants & WANTS_TAPS) && p.b.at, wants_feedback = p.wants & WANTS_FEEDBACK;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    const i64 b = item / p.groups, c = item % p.groups * 32 + lane;
    const bool active = c < p.channels;
    const Marks marks(p, b);
    const auto leave = [&](i64 s, V value) {
      if (active && p.grad_outputs.at) store(at<V>(p.grad_outputs, s, c), value);
    };
    const auto skip = [&](i64 s) { leave(s, active ? given_last<Y>(p, s, c, 0) : V()); };
    const bool empty = marks.first == marks.end;
    if (warp == 0 && marks.count) marks.skipped(marks.end, skip);
    else if (warp == 0 && empty) skip(b);
    else if (warp == 0 && marks.of(marks.first) != marks.before) leave(b, V());
    V state = V();
    W sum_b = W(), sum_a = W();
    for (i64 tile = p.tiles - 1; tile >= 0; --tile) {
      const i64 t0 = (tile * warps + warp) * R;
      const RunBits bits(marks, t0, R);
      V given[R], product = one<V>(), past_x[R], past_y[R];
      compute_t<A> gates[R];
#pragma unroll
      for (int u = 0; u < R; ++u) {
        const i64 t = t0 + u;
        given[u] = past_x[u] = past_y[u] = V(), gates[u] = compute_t<A>();
        if (!active || !RunBits::at(bits.has, u)) continue;
        given[u] = load(at<const Y>(p.grad_y, b, c) + t * p.grad_y.time);
        if (wants_taps) past_x[u] = to<V>(load(at<const X>(p.x, b, c) + t * p.x.time));
        if (RunBits::at(bits.ends, u)) {
          const int number = marks.of(t);
          if (marks.leaves_state(number)) add(given[u], given_last<Y>(p, marks.state(b, number), c, 0));
        } else {
          gates[u] = conj(tap<A>(p.a, b, c, t + 1, 0));
          product = times(gates[u], product);
        }
        if (!wants_feedback) continue;
        if (!RunBits::at(bits.begins, u)) past_y[u] = load(at<const Y>(p.y, b, c) + (t - 1) * p.y.time);
        else if (marks.takes_state(marks.of(t))) past_y[u] = past_output<Y>(p, marks.state(b, marks.of(t)), c, 0);
      }
      V run_b = V(), run_a = V();
      state = hand.template through<true>(state, product, bits.ends, active, [&](V l, bool writes) {
#pragma unroll
        for (int u = R - 1; u >= 0; --u) {
          const i64 t = t0 + u;
          const bool has = RunBits::at(bits.has, u), begins = RunBits::at(bits.begins, u);
          if (RunBits::at(bits.ends, u)) l = V();
          if (has) {
            V sum = given[u];
            mac(sum, gates[u], l);
            l = sum;
          }
          if (!writes) continue;
          if (begins && marks.count) marks.skipped(t, skip);
          if (!active || t >= p.length) continue;
          const V own = has ? l : V();
          if (p.grad_x.at) {
            const V g = DRIVEN && has ? times(conj(tap<B>(p.b, b, c, t, 0)), own) : own;
            store(at<X>(p.grad_x, b, c) + t * p.grad_x.time, g);
          }
          if (wants_taps) {
            const V g = times(conj(past_x[u]), own);
            if (p.grad_b.at) store(at<B>(p.grad_b, b, c) + t * p.grad_b.time, g);
            else add(run_b, g);
          }
          if (wants_feedback) {
            const V g = times(conj(past_y[u]), own);
            if (p.grad_a.at) store(at<A>(p.grad_a, b, c) + t * p.grad_a.time, g);
            else add(run_a, g);
          }
          if (begins && marks.takes_state(marks.of(t)))
            leave(marks.state(b, marks.of(t)), times(conj(tap<A>(p.a, b, c, t, 0)), own));
        }
        return l;
      });
      add(sum_b, to<W>(run_b));
      add(sum_a, to<W>(run_a));
    }
    if (!p.sums) continue;
    W *const of_b = (W*)memory, *const of_a = of_b + blockDim.x;
    __syncthreads();
    of_b[threadIdx.x] = sum_b, of_a[threadIdx.x] = sum_a;
    __syncthreads();
    if (warp == 0 && active) {
      for (int w = 1; w < warps; ++w) add(sum_b, of_b[w * 32 + lane]), add(sum_a, of_a[w * 32 + lane]);
      W* const sums = (W*)p.sums + (b * p.channels + c) * 2;
      sums[0] = sum_b, sums[1] = sum_a;
    }
    __syncthreads();
  }
}
