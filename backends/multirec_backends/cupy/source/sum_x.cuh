// The gradient of an x that all channels share: each block adds its rows up, and `fold` the blocks.

// One block's part of sum_x: its samples, and from `past` on those of the past, both in whole slots.
template <class V> struct SumX {
  static constexpr i64 E = 16 / int(sizeof(V));
  V* at;
  __device__ SumX(const Problem& p, i64 block)
      : at((V*)p.sum_x + block * (slots(p.length) + slots(p.input_order))) {}
  __device__ static i64 slots(i64 count) { return (count + E - 1) / E * E; }
  __device__ V* past(const Problem& p) const { return at + slots(p.length); }
};
