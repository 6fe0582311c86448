// How far the powers of a block's rows can be trusted.

// Carefully; where powers are too large to fold with, warps one after another; all of a row by its first segment; and
// the tiles of the segment. Lanes are rows, so all warps of a block agree.
struct Means {
  bool careful, in_turn, alone;
  int first, stop;
};

// Computes the power of each lane's companion matrix over a run, column by column and step by step, and returns the
// square of what folding adds to the error, over that of a run sample by sample; as in `Powers.build`, where the same
// is said of a scan. Large: an element is too large to fold with.
template <class C, class A, int P, int S>
__device__ double build_powers(const Board<C>& board, const A (&a)[C::P1], bool& large) {
  using WA = typename C::WA;
  constexpr bool exact = EXACT<typename C::V>;
#pragma unroll 1
  for (int j = board.rank; j < P; j += board.warps) {
    WA h[C::N1], taps[C::P1];
    double sum = 0, squares = 0;
#pragma unroll
    for (int k = 0; k < C::N; ++k) h[k] = k == j ? one<WA>() : WA();
#pragma unroll
    for (int k = 0; k < P; ++k) taps[k] = to<WA>(a[k]);
    // float: the mean over the run's samples; double: at the doublings of a run, over all of a tile
    const int steps = exact ? S * board.warps : S;
#pragma unroll 1
    for (int n = 1, mark = exact ? S : 1; n <= steps; ++n) {
      WA next = WA();
#pragma unroll
      for (int k = P - 1; k >= 0; --k) mac(next, taps[k], h[k]);
#pragma unroll
      for (int k = C::N - 1; k > 0; --k) h[k] = h[k - 1];
      h[0] = next;
      if (n < mark) continue;
      mark = exact ? 2 * mark : mark + 1;
      squares = 0;
#pragma unroll
      for (int k = 0; k < P; ++k) squares += size_of(h[k]) * size_of(h[k]);
      sum += squares;
      if (n == S) {
#pragma unroll
        for (int k = 0; k < C::N; ++k) board.power(k, j) = h[k];
      }
    }
    board.loss(j, 0) = sum;
    board.loss(j, 1) = squares;
  }
  __syncthreads();
  double sum = 0, last = 0, taps_sum = 1;
#pragma unroll 1
  for (int j = 0; j < P; ++j) {
    sum += board.loss(j, 0);
    last += board.loss(j, 1);
    for (int k = 0; k < C::N; ++k) large = large || !(size_of(board.power(k, j)) <= LARGEST_POWER);
  }
#pragma unroll
  for (int k = 0; k < P; ++k) taps_sum += size_of(a[k]);
  __syncthreads();
  if (!exact) return sum / (P * S);
  const double left = 1 - sqrt(last / P);
  return left > 0 ? 0.15 * P / S * taps_sum * taps_sum * sum * (1 + sum / 30) / left : 1 / 0.;
}

// whether an element of the powers over up to `reach` samples is too large
template <class C, int P> __device__ bool reach_large(const Board<C>& board, i64 run, i64 reach) {
  using WA = typename C::WA;
  WA power[P * P];
  bool large = false;
#pragma unroll
  for (int i = 0; i < P * P; ++i) power[i] = board.power(i / P, i % P);
#pragma unroll 1
  for (i64 over = run; over < reach && !large; over *= 2) {
    WA square[P * P];
#pragma unroll
    for (int i = 0; i < P * P; ++i) {
      square[i] = WA();
#pragma unroll
      for (int k = 0; k < P; ++k) mac(square[i], power[i / P * P + k], power[k * P + i % P]);
    }
#pragma unroll
    for (int i = 0; i < P * P; ++i) {
      power[i] = square[i];
      large = large || !(size_of(power[i]) <= LARGEST_POWER);
    }
  }
  return large;
}

template <class C, class A, int P, int S, bool VA>
__device__ Means means_of(const Problem& p, const Lanes& w, const Board<C>& board, const A (&a)[C::P1],
                          int phase) {
  Means means{};
  if constexpr (P > 0 && !VA) {
    bool large = false;
    const double loss = build_powers<C, A, P, S>(board, a, large);
    means.in_turn = __any_sync(ALL, large);
    means.careful = means.in_turn || __any_sync(ALL, !(loss <= LARGEST_LOSS * LARGEST_LOSS));
    if (p.segments > 1) means.alone = __any_sync(ALL, means.in_turn || reach_large<C, P>(board, S, p.length));
  }
  if constexpr (VA) {
    const auto starts = w.own<const typename C::W>(p.starts, p, C::STATES);
    means.alone = phase > 1 && __any_sync(ALL, size_of(load(starts + 1)) != 0);
  }
  const i64 tile = S * w.warps;
  const int all = int((p.length + tile - 1) / tile);
  means.first = int(w.segment * p.tiles);
  means.stop = means.first + int(p.tiles) < all ? means.first + int(p.tiles) : all;
  if (means.alone) {
    means.first = 0;
    means.stop = phase == 1 || w.segment ? 0 : all;
  }
  return means;
}
