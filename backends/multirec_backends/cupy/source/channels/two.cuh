// Two channels of a lane, as one number: each is computed on its own. Two of a half type are one word, so that an access
// of a warp is 128 bytes, as it is of float.

template <class S> struct alignas(2 * sizeof(S)) Two { S first, second; };
template <class S> struct Number<Two<S>> {
  using compute = Two<compute_t<S>>;
  using wide = Two<wide_t<S>>;
  using real = typename Number<S>::real;
};
template <class S> constexpr int CHANNELS = 1;
template <class S> constexpr int CHANNELS<Two<S>> = 2;
// of one channel
template <class S> struct Channel { using type = S; };
template <class S> struct Channel<Two<S>> { using type = S; };
template <class S> using channel_t = typename Channel<S>::type;

template <class R> __device__ inline void mac(Two<R>& s, R a, Two<R> v) {
  mac(s.first, a, v.first);
  mac(s.second, a, v.second);
}
template <class R> __device__ inline void mac(Two<R>& s, Two<R> a, R v) { mac(s, v, a); }
template <class R> __device__ inline void mac(Two<R>& s, Two<R> a, Two<R> v) {
  mac(s.first, a.first, v.first);
  mac(s.second, a.second, v.second);
}
template <class R> __device__ inline void add(Two<R>& s, Two<R> v) {
  s.first += v.first;
  s.second += v.second;
}
template <class R> __device__ inline Two<R> minus(Two<R> u, Two<R> v) {
  return {u.first - v.first, u.second - v.second};
}
template <class R> __device__ inline Two<R> conj(Two<R> v) { return v; }
template <class R> __device__ inline Two<R> only_here(Two<R> v) { return {only_here(v.first), only_here(v.second)}; }
template <class R> struct To_<Two<R>> {
  template <class F> static __device__ Two<R> of(F v) { return {to<R>(v), to<R>(v)}; }
  template <class F> static __device__ Two<R> of(Two<F> v) { return {to<R>(v.first), to<R>(v.second)}; }
};
template <class R, class T> struct Like<Two<R>, T> { using type = Two<typename Number<T>::real>; };
template <class S> __device__ inline Two<compute_t<S>> value(Two<S> v) { return {value(v.first), value(v.second)}; }

// the larger one
template <class R> __device__ inline double size_of(Two<R> v) {
  const double first = size_of(v.first), second = size_of(v.second);
  return first != first || first > second ? first : second;
}
// what a lane adds to a sum over channels
template <class V> __device__ inline V sum_of_channels(V v) { return v; }
template <class R> __device__ inline R sum_of_channels(Two<R> v) { return v.first + v.second; }

// Some of a lane's channels: bit 0 is the first, or the only one, and bit 1 the second.
template <class V> __device__ inline int finite_channels(V v) { return is_finite(v); }
template <class R> __device__ inline int finite_channels(Two<R> v) {
  return is_finite(v.first) + 2 * is_finite(v.second);
}
// u in these channels, and v in the others
template <class V> __device__ inline V in_channels(int which, V u, V v) { return which ? u : v; }
template <class R> __device__ inline Two<R> in_channels(int which, Two<R> u, Two<R> v) {
  return {which & 1 ? u.first : v.first, which & 2 ? u.second : v.second};
}

// Where two numbers are: `apart` from each other, or if that is zero, twice at the same place, which counts as one when
// written. Whole: they are one aligned word, here and in every step of time.
template <class S> struct TwoAt {
  S* at;
  i64 apart;
  bool whole;
  __device__ TwoAt operator+(i64 n) const { return {at + n, apart, whole}; }
  __device__ TwoAt& operator+=(i64 n) {
    at += n;
    return *this;
  }
};
template <class S> __device__ inline TwoAt<S> kept(TwoAt<S> at) { return {kept(at.at), at.apart, at.whole}; }

template <class S> struct At {
  using type = S*;
  static __device__ type of(void* all, i64 place, i64, i64) { return (S*)all + place; }
};
template <class S> struct At<Two<S>> {
  using type = TwoAt<S>;
  static __device__ type of(void* all, i64 place, i64 apart, i64 steps) {
    S* at = (S*)all + place;
    return {at, apart, apart == 1 && (i64(size_t(at) / sizeof(S)) | steps) % 2 == 0};
  }
};
template <class S> struct At<const Two<S>> {
  using type = TwoAt<const S>;
  static __device__ type of(void* all, i64 place, i64 apart, i64 steps) {
    const auto two = At<Two<S>>::of(all, place, apart, steps);
    return {two.at, two.apart, two.whole};
  }
};
// where S is, a number or two
template <class S> using at_t = typename At<S>::type;

// Of an address: only these channels of it.
template <class S> __device__ inline S* in_channels(int, S* at) { return at; }
template <class S> __device__ inline TwoAt<S> in_channels(int which, TwoAt<S> at) {
  return which == 3 ? at : TwoAt<S>{at.at + (which == 2 ? at.apart : 0), 0, false};
}
