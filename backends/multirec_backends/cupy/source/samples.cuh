// Single samples and coefficients, wherever they lie.

// a sample, or one of `count` before the beginning, of which there may be none
template <class S, class PAST>
__device__ inline compute_t<S> sample(const Signal& s, const Signal& past, i64 count, i64 b, i64 c, i64 t) {
  if (t >= 0) return load(at<const S>(s, b, c) + t * s.time);
  if (!past.at || t + count < 0) return compute_t<S>();
  return load(at<const PAST>(past, b, c) + (t + count) * past.time);
}
struct Quotient { i64 whole, rest; };
__device__ inline Quotient divided(i64 n, i64 d) {
  if ((n | d) >> 32) return {n / d, n % d};
  return {unsigned(n) / unsigned(d), unsigned(n) % unsigned(d)};
}

// coefficients of type S that come at a frame rate; those of samples are made where they are needed
template <class S> struct Framed { S value; };
template <class S> struct Number<Framed<S>> : Number<S> {};
template <class T> constexpr bool FRAMED = false;
template <class S> constexpr bool FRAMED<Framed<S>> = true;
// the tap that begins at `first`, `within` samples behind a frame
template <class S> __device__ inline compute_t<S> between(const Taps& s, const Framed<S>* first, i64 frame, i64 within) {
  using R = typename Number<S>::real;
  const S* const own = &first[frame * s.time].value;
  compute_t<S> found = load(own);
  // what is held knows nothing of the next frame
  if (s.part != 0 && frame < s.last) mac(found, R(within) * to<R>(s.part), minus(load(own + s.time), found));
  return found;
}
template <class S> __device__ inline compute_t<S> tap(const Taps& s, i64 b, i64 c, i64 t, i64 k) {
  const S* const first = at<const S>(s, b, c) + k * s.tap;
  if constexpr (FRAMED<S>) {
    const Quotient place = divided(t + s.offset, s.hop);
    return between(s, first, place.whole, place.rest);
  } else return load(first + t * s.time);
}
// what feedforward makes of x
template <class X, class Y, class B> __device__ inline compute_t<Y> driven(const Problem& p, i64 b, i64 c, i64 t) {
  using V = compute_t<Y>;
  const X* x = at<const X>(p.x, b, c) + t * p.x.time;
  if (!p.b.at) return to<V>(load(x));
  const B* tap = at<const B>(p.b, b, c) + t * p.b.time;
  V sum = V();
  i64 j = 0;
  for (; j <= p.input_order && j <= t; ++j) {
    mac(sum, load(tap), to<V>(load(x)));
    tap += p.b.tap;
    x -= p.x.time;
  }
  for (; j <= p.input_order; ++j) {
    const V past = p.inputs.at ? to<V>(load(at<const X>(p.inputs, b, c) + (t - j + p.input_order) * p.inputs.time)) : V();
    mac(sum, load(tap), past);
    tap += p.b.tap;
  }
  return sum;
}
// the gradient of a sample of y, to which that of the last samples adds
template <class Y> __device__ inline compute_t<Y> given(const Problem& p, i64 b, i64 c, i64 t) {
  compute_t<Y> sum = load(at<const Y>(p.grad_y, b, c) + t * p.grad_y.time);
  const i64 late = t - (p.length - p.last);
  if (p.grad_last.at && late >= 0) add(sum, load(at<const state_t<Y>>(p.grad_last, b, c) + late * p.grad_last.time));
  return sum;
}
// the gradient of a sample of x, from lambda[t + j] = `later(j)`
template <class Y, class B, class L> __device__ inline compute_t<Y> driving(const Problem& p, i64 b, i64 c, i64 t, L later) {
  compute_t<Y> sum = compute_t<Y>();
  if (!p.b.at) return later(0);
  for (i64 j = t < 0 ? -t : 0; j <= p.input_order && t + j < p.length; ++j)
    mac(sum, conj(tap<B>(p.b, b, c, t + j, j)), later(j));
  return sum;
}
