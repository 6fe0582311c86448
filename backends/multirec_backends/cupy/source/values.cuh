// Numbers: how they are stored, computed with, widened, and sent from lane to lane.
//
//   storage S          compute V            wide W (carries and sums)
//   Half, BFloat       float                double
//   float, double      the same             double
//   Complex<R>         the same             Complex<double>

struct Half { unsigned short bits; };
struct BFloat { unsigned short bits; };
template <class R> struct Complex { R re, im; };

template <class S> struct Number { using compute = S; using wide = double; using real = S; };
template <> struct Number<Half> { using compute = float; using wide = double; using real = float; };
template <> struct Number<BFloat> { using compute = float; using wide = double; using real = float; };
template <class R> struct Number<Complex<R>> {
  using compute = Complex<R>;
  using wide = Complex<double>;
  using real = R;
};
template <class S> using compute_t = typename Number<S>::compute;
template <class S> using wide_t = typename Number<S>::wide;
template <class S> using state_t = compute_t<S>;  // how past outputs are stored

// s += a * v, for every mixture of real and complex
template <class R> __device__ inline void mac(R& s, R a, R v) { s += a * v; }
template <class R> __device__ inline void mac(Complex<R>& s, R a, R v) { s.re += a * v; }
template <class R> __device__ inline void mac(Complex<R>& s, R a, Complex<R> v) {
  s.re += a * v.re;
  s.im += a * v.im;
}
template <class R> __device__ inline void mac(Complex<R>& s, Complex<R> a, R v) { mac(s, v, a); }
template <class R> __device__ inline void mac(Complex<R>& s, Complex<R> a, Complex<R> v) {
  s.re += a.re * v.re;
  s.re -= a.im * v.im;
  s.im += a.re * v.im;
  s.im += a.im * v.re;
}

template <class R> __device__ inline void add(R& s, R v) { s += v; }
template <class R> __device__ inline void add(Complex<R>& s, Complex<R> v) {
  s.re += v.re;
  s.im += v.im;
}

template <class R> __device__ inline R minus(R u, R v) { return u - v; }
template <class R> __device__ inline Complex<R> minus(Complex<R> u, Complex<R> v) { return {u.re - v.re, u.im - v.im}; }

__device__ inline float conj(float v) { return v; }
__device__ inline double conj(double v) { return v; }
template <class R> __device__ inline Complex<R> conj(Complex<R> v) { return {v.re, -v.im}; }

template <class R> __device__ inline Complex<R> only_here(Complex<R> v) { return {only_here(v.re), only_here(v.im)}; }

template <class A, class B> constexpr bool same = false;
template <class A> constexpr bool same<A, A> = true;

// between precisions, real to complex, and complex to its real part
template <class To> struct To_ {
  template <class R> static __device__ To of(R v) {
    if constexpr (same<To, R>) return v;
    else if constexpr (sizeof(To) > sizeof(R)) return widened(v);
    else return narrowed(v);
  }
  template <class R> static __device__ To of(Complex<R> v) { return of(v.re); }
};
template <class R> struct To_<Complex<R>> {
  template <class F> static __device__ Complex<R> of(F v) { return {To_<R>::of(v), R(0)}; }
  template <class F> static __device__ Complex<R> of(Complex<F> v) { return {To_<R>::of(v.re), To_<R>::of(v.im)}; }
};
template <class To, class From> __device__ inline To to(From v) { return To_<To>::of(v); }
// A in the precision of T
template <class A, class T> struct Like { using type = typename Number<T>::real; };
template <class R, class T> struct Like<Complex<R>, T> { using type = Complex<typename Number<T>::real>; };
template <class A, class T> using like_t = typename Like<A, T>::type;
// whether V is computed in double
template <class V> constexpr bool EXACT = sizeof(typename Number<V>::real) == 8;
template <class V> __device__ inline V one() { return to<V>(typename Number<V>::real(1)); }

template <class R> __device__ inline double size_of(R v) { return v < 0 ? -double(v) : double(v); }
template <class R> __device__ inline double size_of(Complex<R> v) {
  double re = size_of(v.re), im = size_of(v.im);
  return re != re || re > im ? re : im;
}
__device__ inline float magnitude(float v) { return fabsf(v); }
__device__ inline double magnitude(double v) { return fabs(v); }
template <class R> __device__ inline R magnitude(Complex<R> v) { return magnitude(v.re) + magnitude(v.im); }
template <class R> __device__ inline bool is_finite(R v) { return v - v == 0; }
template <class R> __device__ inline bool is_finite(Complex<R> v) { return is_finite(v.re) && is_finite(v.im); }
template <class V> __device__ inline V nan_of() {
  return to<V>(typename Number<V>::real(__int_as_float(0x7fc00000)));
}

// between storage and computing
template <class S> __device__ inline S value(S v) { return v; }
__device__ inline float value(Half v) { return half_to_float(v.bits); }
__device__ inline float value(BFloat v) { return __int_as_float(int(v.bits) << 16); }
template <class S, class V> __device__ inline S stored(V v) {
  if constexpr (same<S, Half>) return {half_from_float(to<float>(v))};
  else if constexpr (same<S, BFloat>) return {bfloat_from_float(to<float>(v))};
  else return to<S>(v);
}

// two of a half type, in one instruction where there is one
__device__ inline void store_two(Half* at, float first, float second) { *(unsigned*)at = halves_from_floats(first, second); }
__device__ inline void store_two(BFloat* at, float first, float second) {
  *(unsigned*)at = bfloats_from_floats(first, second);
}

// reads go through the read-only path, so the compiler may issue many before the first arrives
template <class S> __device__ inline S load(const S* at) { return __ldg(at); }
template <class R> __device__ inline Complex<R> load(const Complex<R>* at) { return {__ldg(&at->re), __ldg(&at->im)}; }
__device__ inline float load(const Half* at) { return value(Half{__ldg(&at->bits)}); }
__device__ inline float load(const BFloat* at) { return value(BFloat{__ldg(&at->bits)}); }
template <class S, class V> __device__ inline void store(S* at, V v) { *at = stored<S>(v); }

// E neighbours, read or written at once
template <class S, int E> struct alignas(sizeof(S) * E) Pack { S values[E]; };
template <int BYTES> struct Word;
template <> struct Word<4> { using type = int; };
template <> struct Word<8> { using type = int2; };
template <> struct Word<16> { using type = int4; };
template <int E, class S> __device__ inline Pack<S, E> load_pack(const S* at) {
  using T = typename Word<int(sizeof(Pack<S, E>))>::type;
  const T word = __ldg((const T*)at);
  return *(const Pack<S, E>*)&word;
}
// results are not read again here, so they leave the caches first, unless somebody is to FIND them there
template <bool FIND = false, class S, int E> __device__ inline void store_pack(S* at, const Pack<S, E>& pack) {
  using T = typename Word<int(sizeof pack)>::type;
  if (FIND) *(T*)at = *(const T*)&pack;
  else __stcs((T*)at, *(const T*)&pack);
}

// E neighbours, or one, to shared memory, before `copies_arrived` returns
template <int E, class S> __device__ inline void copy_word(S* to, const S* from) {
  copy_async<typename Word<int(sizeof(Pack<S, E>))>::type>(to, from);
}
template <class S> __device__ inline void copy_sample(S* to, const S* from) {
  using R = typename Number<S>::real;
  if constexpr (sizeof(S) == 2) *to = *from;
  else
#pragma unroll
    for (int i = 0; i < int(sizeof(S) / sizeof(R)); ++i)
      copy_async<typename Word<int(sizeof(R))>::type>((R*)to + i, (const R*)from + i);
}

constexpr unsigned ALL = 0xffffffffu;
template <class T> __device__ inline T from_lane(T v, int lane) { return __shfl_sync(ALL, v, lane); }
// from the lane d before, or after if BACK; where there is none the value stays
template <bool BACK, class T> __device__ inline T from_before(T v, int d) {
  return BACK ? __shfl_down_sync(ALL, v, d) : __shfl_up_sync(ALL, v, d);
}
template <bool BACK, class R> __device__ inline Complex<R> from_before(Complex<R> v, int d) {
  return {from_before<BACK>(v.re, d), from_before<BACK>(v.im, d)};
}
template <class R> __device__ inline Complex<R> from_lane(Complex<R> v, int lane) {
  return {from_lane(v.re, lane), from_lane(v.im, lane)};
}
