// The gradient: every lane runs its segment from the last sample to the first.
//
// At time u the lane knows lambda[u] and the later ones that taps reach. That is all that the gradients need besides x[u]
// and y[u]: of x[u] the sum of b[j] lambda[u + j], of b[j] the sum over u of x[u] lambda[u + j], of a[k] that of
// y[u] lambda[u + 1 + k]. So nothing is read but the segment itself. y is read rather than computed again, but where that
// takes few instructions and rows share x, which is in the cache then. Sums are in the kernel's precision over a line, and
// in double in shared memory across lines.

template <class X, class Y, class B, class A, int P, int Q> struct LanesBackward {
  using V = compute_t<Y>;
  using W = wide_t<V>;
  using L = Lines<V>;
  static constexpr int E = L::E, U = L::U, N = largest(P, Q), SUMS = Q + 1 + P;
  static constexpr int SLOTS = 4 * E >= N ? 4 : L::SLOTS;
  // a y of half type is rounded, so what is computed from it would be worse
  static constexpr bool COMPUTES_Y = P <= 4 && Q <= 4 && same<Y, V> && sizeof(V) == 4;
  const Problem& p;
  const Lane& w;
  L grads, outputs, inputs;  // of grad_y, then the gradient of x; of y; of x
  W* sums;                   // [tap][lane]
  const i64 *of_grads, *of_y, *of_x, *of_grad_x;

  __device__ int log_x() const { return p.shares_x ? w.log_rows : 0; }
  template <class AT> __device__ void read_feedback(AT (&a)[P]) const {
#pragma unroll
    for (int k = 0; k < P; ++k) a[k] = conj(to<AT>(load(at<const A>(p.a, w.b, w.c) + k * p.a.tap)));
  }
  // grad_y, and what its last samples get besides
  __device__ void read_grads(i64 from) const {
    read_lines<Y>(w, grads, p.grad_y, of_grads, 0, from);
    __syncwarp();
    const i64 late = p.length - p.last - (w.t0 + from);
    if (p.grad_last.at && late < U)
      for (int u = late > 0 ? int(late) : 0; u < U && from + u < w.count; ++u)
        add(grads.sample(w.lane, u), load(at<const state_t<Y>>(p.grad_last, w.b, w.c) + (u - late) * p.grad_last.time));
  }
  template <class T, class AT> __device__ static T lambda(V grad, const T (&h)[N], const AT (&a)[P]) {
    T l = to<T>(grad);
#pragma unroll
    for (int k = P - 1; k >= 0; --k) mac(l, a[k], h[k]);
    return l;
  }
  template <class T> __device__ static void push(T (&h)[N], T l) {
#pragma unroll
    for (int k = N - 1; k > 0; --k) h[k] = h[k - 1];
    h[0] = l;
  }

  // Calls give(h) with lambda at the beginning of the segment, the earliest first, as it is when there is none after it.
  template <class T, class F> __device__ void run_to_end(bool asked, F give) const {
    like_t<A, T> a[P];
    read_feedback(a);
    i64 stop = w.stop;
#pragma unroll 1
    do {
      T h[N];
#pragma unroll
      for (int k = 0; k < N; ++k) h[k] = T();
      typename Number<V>::real far = 0, near = 0;
#pragma unroll 1
      for (i64 n = w.end - 1; n >= 0; --n) {
        read_grads(n * U);
        if (stop < w.end) (n < stop ? near : far) += size_of_line(grads, w.lane);
        if (n < stop)
#pragma unroll 1
          for (int k0 = L::SLOTS - SLOTS; k0 >= 0; k0 -= SLOTS)
#pragma unroll
            for (int k = SLOTS - 1; k >= 0; --k) {
              const Pack<V, E> pack = grads.slot(w.lane, k0 + k);
#pragma unroll
              for (int e = E - 1; e >= 0; --e) push(h, lambda(pack.values[e], h, a));
            }
        __syncwarp();
      }
      if (asked) give(h);
      asked = asked && stop < w.end && shows(far, near);
      stop = w.end;
    } while (__any_sync(ALL, asked));
  }

  // y of the lane's line, from what of y comes before it
  template <class AT> __device__ void compute_outputs(i64 from, const AT (&a)[P], const B (&b)[Q + 1]) const {
    V y[P], x[largest(Q, 1)];
    const i64 t0 = w.t0 + from;
    auto before = [&](auto& values, int count, const auto* row, i64 time, const auto* past, i64 past_time) {
#pragma unroll
      for (int k = 0; k < count; ++k) {
        const i64 t = t0 - 1 - k;
        values[k] = V();
        if (t >= 0) values[k] = to<V>(load(row + t * time));
        else if (past) values[k] = to<V>(load(past + (count + t) * past_time));
      }
    };
    before(y, P, at<const Y>(p.y, w.b, w.c), p.y.time,
           p.outputs.at ? at<const state_t<Y>>(p.outputs, w.b, w.c) : (const state_t<Y>*)nullptr, p.outputs.time);
    before(x, Q, at<const X>(p.x, w.b, w.c), p.x.time,
           p.inputs.at ? at<const X>(p.inputs, w.b, w.c) : (const X*)nullptr, p.inputs.time);
    const int line = w.lane >> log_x(), left = w.left(from, U);
#pragma unroll 1
    for (int k0 = 0; k0 < L::SLOTS; k0 += SLOTS)
#pragma unroll
      for (int k = 0; k < SLOTS; ++k) {
        Pack<V, E> pack = inputs.slot(line, k0 + k);
#pragma unroll
        for (int e = 0; e < E; ++e) {
          V sum = V();
          mac(sum, conj(b[0]), pack.values[e]);
#pragma unroll
          for (int j = 1; j <= Q; ++j) mac(sum, conj(b[j]), x[j - 1]);
#pragma unroll
          for (int j = Q - 1; j > 0; --j) x[j] = x[j - 1];
          if (Q) x[0] = pack.values[e];
#pragma unroll
          for (int i = P - 1; i >= 0; --i) mac(sum, conj(a[i]), y[i]);
#pragma unroll
          for (int i = P - 1; i > 0; --i) y[i] = y[i - 1];
          y[0] = pack.values[e] = sum;
        }
        outputs.slot(w.lane, k0 + k) = pack;
      }
    // beyond the end y may overflow, and infinity times a lambda of zero is no zero
    for (int u = left; u < U; ++u) outputs.sample(w.lane, u) = V();
  }

  __device__ void run(V (&h)[N], const SumX<V>& sums_of_x) const {
    const int wants = int(p.wants), line = w.lane >> log_x();
    const bool computes = COMPUTES_Y && p.shares_x && (wants & WANTS_FEEDBACK) && (wants & WANTS_TAPS);
    like_t<A, V> a[P];
    B b[Q + 1];
    read_feedback(a);
#pragma unroll
    for (int j = 0; j <= Q; ++j) b[j] = p.b.at ? conj(load(at<const B>(p.b, w.b, w.c) + j * p.b.tap)) : one<B>();
#pragma unroll
    for (int n = 0; n < SUMS; ++n) sums[32 * n + w.lane] = W();
#pragma unroll 1
    for (i64 n = w.stop - 1; n >= 0; --n) {
      if ((wants & WANTS_FEEDBACK) && !computes) read_lines<Y>(w, outputs, p.y, of_y, 0, n * U);
      if (wants & WANTS_TAPS) read_lines<X>(w, inputs, p.x, of_x, log_x(), n * U);
      read_grads(n * U);
      // a lane whose segment is shorter begins later
      if (n * U < w.count) {
        if (computes) compute_outputs(n * U, a, b);
        V part[SUMS];
#pragma unroll
        for (int i = 0; i < SUMS; ++i) part[i] = V();
#pragma unroll 1
        for (int k0 = L::SLOTS - SLOTS; k0 >= 0; k0 -= SLOTS)
#pragma unroll
          for (int k = SLOTS - 1; k >= 0; --k) {
            Pack<V, E> pack = grads.slot(w.lane, k0 + k);
            const Pack<V, E> y = outputs.slot(w.lane, k0 + k), x = inputs.slot(line, k0 + k);
#pragma unroll
            for (int e = E - 1; e >= 0; --e) {
              const V l = lambda(pack.values[e], h, a);
#pragma unroll
              for (int i = 0; i < P; ++i) mac(part[Q + 1 + i], conj(y.values[e]), h[i]);
              V g = V();
#pragma unroll
              for (int j = 0; j <= Q; ++j) {
                mac(g, b[j], j ? h[largest(j, 1) - 1] : l);
                mac(part[j], conj(x.values[e]), j ? h[largest(j, 1) - 1] : l);
              }
              pack.values[e] = g;
              push(h, l);
            }
            grads.slot(w.lane, k0 + k) = pack;
          }
#pragma unroll
        for (int i = 0; i < SUMS; ++i) add(sums[32 * i + w.lane], to<W>(part[i]));
      }
      __syncwarp();
      if (wants & WANTS_X) {
        if (p.sum_x) sum_lines(w, grads, sums_of_x, n * U);
        else if (p.grad_x.at) write_lines<X>(w, grads, p.grad_x, of_grad_x, n * U);
        __syncwarp();
      }
    }
    begin(h, a, b, sums_of_x, wants);
  }
  // what the samples before the row get, and give to the sums
  template <class AT>
  __device__ void begin(const V (&h)[N], const AT (&a)[P], const B (&b)[Q + 1], const SumX<V>& sums_of_x, int wants) const {
    const bool begins = w.count && w.t0 == 0;
    if (begins) {
      auto give = [&](const auto* from, i64 time, int first, int reach, int behind) {
        for (int i = 1; i <= reach; ++i) {
          const V past = conj(to<V>(load(from + (reach - i) * time)));
#pragma unroll
          for (int k = 0; k < N; ++k)
            if (k + i - behind >= 0 && k + i <= reach) {
              V g = V();
              mac(g, past, h[k]);
              add(sums[32 * (first + k + i - behind) + w.lane], to<W>(g));
            }
        }
      };
      if ((wants & WANTS_TAPS) && p.inputs.at) give(at<const X>(p.inputs, w.b, w.c), p.inputs.time, 0, Q, 0);
      if ((wants & WANTS_FEEDBACK) && p.outputs.at)
        give(at<const state_t<Y>>(p.outputs, w.b, w.c), p.outputs.time, Q + 1, P, 1);
      if (p.grad_outputs.at)
#pragma unroll
        for (int n = 0; n < P; ++n) {
          V g = V();
#pragma unroll
          for (int k = n; k < P; ++k) mac(g, a[k], h[k - n]);
          store(at<V>(p.grad_outputs, w.b, w.c) + (P - 1 - n) * p.grad_outputs.time, g);
        }
    }
    if (!(wants & WANTS_X) || !__any_sync(ALL, begins)) return;
#pragma unroll
    for (int i = 1; i <= Q; ++i) {
      V g = V();
#pragma unroll
      for (int j = i; j <= Q; ++j) mac(g, b[j], h[j - i]);
      if (p.sum_x) {
        if (!begins) g = V();
        for (int d = 1; d < 1 << w.log_rows; d *= 2) add(g, from_lane(g, w.lane ^ d));
        if (begins && (w.lane & ((1 << w.log_rows) - 1)) == 0) sums_of_x.past(p)[Q - i] = g;
      } else if (begins && p.grad_inputs.at)
        store(at<compute_t<X>>(p.grad_inputs, w.b, w.c) + (Q - i) * p.grad_inputs.time, g);
    }
  }
};

template <class X, class Y, class B, class A, int P, int Q> __device__ void lanes_backward(const Problem& p) {
  using F = LanesBackward<X, Y, B, A, P, Q>;
  using V = typename F::V;
  using W = typename F::W;
  constexpr int N = F::N, SIZE = 32 * F::U;
  extern __shared__ __align__(16) unsigned char memory[];
  V* const values = (V*)memory;
  W* const sums = (W*)(values + 3 * SIZE);
  i64* const begins = (i64*)(sums + 32 * F::SUMS);
  const int phase = int(p.phase);
  // beside the segments, and before them, since it takes as long
  const i64 powers = phase == 1 ? Table<wide_t<A>, N>::rows(p) : 0;
  for (i64 n = blockIdx.x; n < powers + p.items; n += gridDim.x) {
    if (n < powers) {
      write_power<V, A, N>(p, n);
      continue;
    }
    const i64 item = n - powers;
    Lane w(p, item, F::U);
    w.template settle<EXACT<V>, true>(p, phase, p.segments > 1 ? Table<wide_t<A>, N>(p, w.b, w.c).trust() : 0, F::U);
    const bool writes = phase != 1 && w.exists && p.sums;
    W* const own = (W*)p.sums + (w.row * p.segments + w.segment) * F::SUMS;
    if (!w.stop) {
      if (writes)
        for (int n = 0; n < F::SUMS; ++n) own[n] = W();
      continue;
    }
    const F backward{p, w, {values}, {values + SIZE}, {values + 2 * SIZE}, sums, begins, begins + 32, begins + 64, begins + 96};
    w.place(begins, p.grad_y, 0);
    w.place(begins + 32, p.y, 0);
    w.place(begins + 64, p.x, backward.log_x());
    w.place(begins + 96, p.grad_x, 0);
    __syncwarp();
    const i64 place = (w.row * p.segments + w.segment) * N;
    W* const ends = (W*)p.ends + place;
    if (phase == 1) {
      auto give = [&](const auto& h) {
#pragma unroll
        for (int k = 0; k < N; ++k) ends[k] = to<W>(h[k]);
      };
      if (EXACT<V> || __any_sync(ALL, !w.careful)) backward.template run_to_end<V>(w.count && (EXACT<V> || !w.careful), give);
      if constexpr (!EXACT<V>)
        if (__any_sync(ALL, w.careful)) backward.template run_to_end<W>(w.count && w.careful, give);
      continue;
    }
    V h[N];
#pragma unroll
    for (int k = 0; k < N; ++k) h[k] = phase && !w.alone ? to<V>(((const W*)p.starts)[place + k]) : V();
    backward.run(h, SumX<V>(p, w.group));
    if (EXACT<V> && phase == 2 && w.count && !w.alone)
#pragma unroll
      for (int k = 0; k < N; ++k) ends[k] = to<W>(h[k]);
    if (writes)
      for (int n = 0; n < F::SUMS; ++n) own[n] = sums[32 * n + w.lane];
    __syncwarp();
  }
}
