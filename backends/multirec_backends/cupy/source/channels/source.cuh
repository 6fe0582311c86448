// How a run is read: ahead, as it lies in memory, to be converted when it is used.

template <class S> __device__ inline S fetch(const S* at) { return load(at); }
__device__ inline Half fetch(const Half* at) { return {__ldg(&at->bits)}; }
__device__ inline BFloat fetch(const BFloat* at) { return {__ldg(&at->bits)}; }
// the same, of an address that is known to be that of a whole S
template <class S> __device__ inline S fetch_whole(const S* at) { return fetch(at); }
template <class R> __device__ inline Complex<R> fetch_whole(const Complex<R>* at) { return load_pack<1>(at).values[0]; }
template <class S> __device__ inline Two<S> fetch_whole(TwoAt<const S> at) {
  using T = typename Word<int(sizeof(Two<S>))>::type;
  const T word = __ldg((const T*)at.at);
  return *(const Two<S>*)&word;
}
template <class S> __device__ inline Two<S> fetch(TwoAt<const S> at) { return {fetch(at.at), fetch(at.at + at.apart)}; }
template <class S> __device__ inline bool is_whole(const S*) { return false; }
template <class R> __device__ inline bool is_whole(const Complex<R>* at) { return size_t(at) % sizeof *at == 0; }
template <class S> __device__ inline bool is_whole(TwoAt<S> at) { return at.whole; }
template <class S> __device__ inline Two<compute_t<S>> load(TwoAt<const S> at) {
  return value(at.whole ? fetch_whole(at) : fetch(at));
}

// results are not read again here, so they leave the caches first
template <class S> __device__ inline void stream_word(S* at, const S& s) {
  if constexpr (sizeof(S) == 2) __stcs((unsigned short*)at, *(const unsigned short*)&s);
  else if constexpr (sizeof(S) == 16) __stcs((int4*)at, *(const int4*)&s);
  else if constexpr (sizeof(S) == 8) __stcs((int2*)at, *(const int2*)&s);
  else __stcs((int*)at, *(const int*)&s);
}
template <class S, class V> __device__ inline void stream(S* at, V v) {
  alignas(sizeof(S)) const S s = stored<S>(v);
  stream_word(at, s);
}
template <class S> __device__ inline void stream_two(S* at, float first, float second) {
  if constexpr (same<S, Half>) stream_word((unsigned*)at, halves_from_floats(first, second));
  else if constexpr (same<S, BFloat>) stream_word((unsigned*)at, bfloats_from_floats(first, second));
  else stream_word((Two<S>*)at, Two<S>{first, second});
}
template <class S, class R> __device__ inline void stream(TwoAt<S> at, Two<R> v) {
  if (at.whole) return stream_two(at.at, v.first, v.second);
  stream(at.at, v.first);
  if (at.apart) stream(at.at + at.apart, v.second);
}
template <class S, class R> __device__ inline void store(TwoAt<S> at, Two<R> v) {
  store(at.at, v.first);
  if (at.apart) store(at.at + at.apart, v.second);
}
// the first samples from t on, of which there are N at most; `each(i)` is the value of one
template <int N, class S, class F>
__device__ inline void stream_run(S* row, i64 time_, i64 t, int count_, F each) {
  const i64 time = only_here(time_);
  const int count = only_here(count_);
  S* at = row + t * time;
#pragma unroll
  for (int i = 0; i < N; ++i, at += time)
    if (i < count) stream(at, each(i));
}
template <int N, class S, class F>
__device__ inline void stream_run(TwoAt<S> row, i64 time, i64 t, int count, F each) {
  if (!row.whole) {
    stream_run<N>(row.at, time, t, count, [&](int i) { return each(i).first; });
    if (row.apart) stream_run<N>(row.at + row.apart, time, t, count, [&](int i) { return each(i).second; });
  } else {
    const i64 step = only_here(time);
    const int left = only_here(count);
    S* at = row.at + t * step;
#pragma unroll
    for (int i = 0; i < N; ++i, at += step)
      if (i < left) {
        const auto v = each(i);
        stream_two(at, v.first, v.second);
      }
  }
}
// N samples from t on; beyond the end lie zeros. Steps in time are only here, or every tile's would be kept in
// registers.
template <class S, int N>
__device__ inline void read_run(S (&v)[N], at_t<const S> row, i64 time_, i64 t, i64 length) {
  const i64 time = only_here(time_);
  auto from = row + t * time;
  if (t + N <= length) {
    if (is_whole(row)) {
#pragma unroll
      for (int i = 0; i < N; ++i, from += time) v[i] = fetch_whole(from);
    } else {
#pragma unroll
      for (int i = 0; i < N; ++i, from += time) v[i] = fetch(from);
    }
  } else {
    const int left = t < length ? int(length - t) : 0;
#pragma unroll
    for (int i = 0; i < N; ++i, from += time) v[i] = i < left ? fetch(from) : S();
  }
}
// the N samples before t, newest last: of the signal, or of the past where there is one
template <class S, class PAST, int N, int M>
__device__ inline void read_past(compute_t<S> (&v)[M], const Problem& p, const Lanes& w, at_t<const S> row,
                                 const Signal& s, const Signal& past, i64 t) {
#pragma unroll
  for (int k = 1; k <= N; ++k) {
    v[N - k] = compute_t<S>();
    if (t >= k) {
      if (t - k < p.length) v[N - k] = load(row + (t - k) * only_here(s.time));
    } else if (past.at) v[N - k] = load(w.at<const PAST>(past) + (N + t - k) * past.time);
  }
}

// x in a run, and the Q samples before it: of a row in registers, of what all rows share in shared memory.
template <class C, class X, int Q, int S, bool SHARED> struct Source {
  using XV = typename C::XV;
  static constexpr int OWN = SHARED ? S / C::LANES + 1 : S;
  X ahead[OWN];
  XV past[largest(SHARED ? 0 : Q, 1)];

  __device__ void read(const Problem& p, const Lanes& w, at_t<const X> row, int tile) {
    const i64 t0 = i64(tile) * w.warps * S;
    if constexpr (SHARED) {
#pragma unroll
      for (int k = 0; k < OWN; ++k) {
        const int u = int(threadIdx.x + k * blockDim.x) - Q;
        const i64 t = t0 + u;
        ahead[k] = X();
        if (u >= w.warps * S || t >= p.length) continue;
        if (t >= 0) ahead[k] = fetch(row + t * p.x.time);
        else if (p.inputs.at) ahead[k] = fetch(w.at<const X>(p.inputs) + (Q + t) * p.inputs.time);
      }
    } else {
      const i64 t = w.run(tile) * S;
      read_run(ahead, row, p.x.time, t, p.length);
      read_past<X, X, Q>(past, p, w, row, p.x, p.inputs, t);
    }
  }
  // tells the block; before warps meet
  __device__ void keep(const Board<C>& board, int tile) const {
    if constexpr (SHARED) {
      XV* to = board.template samples<S>(tile % C::BUFFERS) + C::HALO;
#pragma unroll
      for (int k = 0; k < OWN; ++k) {
        const int u = int(threadIdx.x + k * blockDim.x) - Q;
        if (u < board.warps * S) to[u] = value(ahead[k]);
      }
    }
  }
  // the run, from Q samples before it
  __device__ void take(XV (&x)[Q + S], const Board<C>& board, const Lanes& w, int tile) const {
    if constexpr (SHARED) {
      constexpr int E = C::E;
      const XV* from = board.template samples<S>(tile % C::BUFFERS) + w.warp * S;
#pragma unroll
      for (int n = 0; n < C::HALO + S; n += E) {
        const Pack<XV, E> pack = *(const Pack<XV, E>*)(from + n);
#pragma unroll
        for (int e = 0; e < E; ++e)
          if (n + e >= C::HALO - Q) x[n + e - (C::HALO - Q)] = pack.values[e];
      }
    } else {
#pragma unroll
      for (int j = 0; j < Q; ++j) x[j] = past[j];
#pragma unroll
      for (int i = 0; i < S; ++i) x[Q + i] = value(ahead[i]);
    }
  }
};

// Coefficients of a row; those that vary are read where they are used.
template <class B, int Q, bool VB> struct Forwards {
  const Problem& p;
  at_t<const B> row;
  B b[Q + 1];
  __device__ Forwards(const Problem& p_, const Lanes& w) : p(p_), row(w.at<const B>(p_.b)) {
#pragma unroll
    for (int j = 0; j <= Q; ++j) {
      b[j] = p.b.at ? B() : one<B>();
      if (!VB && p.b.at) b[j] = load(row + j * p.b.tap);
    }
  }
  // tap j of the sample at t
  __device__ B operator()(int j, i64 t) const {
    if (!VB) return b[j];
    return t < 0 || t >= p.length ? B() : load(row + t * p.b.time + j * p.b.tap);
  }
};
template <class A, int P, bool VA> __device__ inline void read_feedback(A (&a)[P], const Problem& p, const Lanes& w) {
#pragma unroll
  for (int k = 0; k < P; ++k) {
    a[k] = A();
    if (!VA && p.a.at) a[k] = load(w.at<const A>(p.a) + k * p.a.tap);
  }
}
