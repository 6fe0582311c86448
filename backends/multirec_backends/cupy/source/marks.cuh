// Several sequences in one row of time: which samples are of one, and which state is before and behind it.
//
// Numbers ascend along time, and those of padding, at its end, are -1. With `reverse` (phase 1) kernels see both
// backwards. p.last is how many states there are, one a sequence; 0 is one an example.

struct Marks {
  const int* numbers;
  i64 time, count, first, end;  // from the first sample on, up to the end, there is no padding
  bool backwards;
  int before, after;  // the sequences that an example's edges are in, in running order
  __device__ Marks(const Problem& p, i64 b) : Marks(p.numbers, p.length, p.last, p.phase, b) {}
  __device__ Marks(const Signal& all, i64 length, i64 states, bool reversed, i64 b)
      : numbers(at<const int>(all, b, 0)), time(all.time), count(states), backwards(reversed) {
    i64 low = 0, high = length;
    while (low < high) {
      const i64 middle = (low + high) / 2;
      if ((of(middle) < 0) != backwards) high = middle;
      else low = middle + 1;
    }
    first = backwards ? low : 0;
    end = backwards ? length : low;
    before = backwards && first < end ? of(first) : 0;
    after = !backwards && first < end ? of(end - 1) : 0;
  }
  __device__ int of(i64 t) const { return load(numbers + t * time); }
  __device__ bool has(i64 t) const { return t >= first && t < end; }
  __device__ bool begins(i64 t) const { return t == first || of(t - 1) != of(t); }
  __device__ bool ends(i64 t) const { return t + 1 == end || of(t + 1) != of(t); }
  __device__ bool takes_state(int number) const { return count || number == before; }
  __device__ bool leaves_state(int number) const { return count || number == after; }
  __device__ i64 state(i64 b, int number) const { return count ? number : b; }
  // calls f for each sequence without samples before that of t, which begins there, or before the end
  template <class F> __device__ void skipped(i64 t, F f) const {
    const int step = backwards ? -1 : 1;
    const i64 to = t < end ? of(t) : backwards ? -1 : count;
    for (i64 s = (t > first ? of(t - 1) : backwards ? count : -1) + step; s != to; s += step) f(s);
  }
};

// the k-th of the outputs before a sequence, from the newest on
template <class Y> __device__ inline compute_t<Y> past_output(const Problem& p, i64 s, i64 c, i64 k) {
  if (!p.outputs.at) return compute_t<Y>();
  return load(at<const state_t<Y>>(p.outputs, s, c) + (p.order - 1 - k) * p.outputs.time);
}
// the gradient of the k-th of the outputs behind it
template <class Y> __device__ inline compute_t<Y> given_last(const Problem& p, i64 s, i64 c, i64 k) {
  if (!p.grad_last.at) return compute_t<Y>();
  return load(at<const state_t<Y>>(p.grad_last, s, c) + (p.order - 1 - k) * p.grad_last.time);
}
// the input j samples before t, which has `age` samples of its sequence before it, or one of the state s
template <class X, class V> __device__ inline V input(const Problem& p, i64 b, i64 c, i64 t, i64 j, i64 age, i64 s) {
  if (j <= age) return to<V>(load(at<const X>(p.x, b, c) + (t - j) * p.x.time));
  if (!p.inputs.at) return V();
  return to<V>(load(at<const X>(p.inputs, s, c) + (age - j + p.input_order) * p.inputs.time));
}
