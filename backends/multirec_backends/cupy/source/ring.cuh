// Past outputs (in the adjoint, later lambdas) of the kernels that take any order, in a ring in global memory,
// [past][row], so that the threads of a warp read neighbours.

template <class V> struct Ring {
  V* values;
  i64 rows, row, size, newest;
  __device__ Ring(const Problem& p, i64 row_, i64 size_)
      : values((V*)p.ring), rows(p.batch * p.channels), row(row_), size(size_), newest(0) {}
  // k = 0 is the newest
  __device__ V& operator[](i64 k) const {
    i64 slot = newest + k;
    return values[(slot < size ? slot : slot - size) * rows + row];
  }
  __device__ void push(V value) {
    newest = newest ? newest - 1 : size - 1;
    (*this)[0] = value;
  }
};
