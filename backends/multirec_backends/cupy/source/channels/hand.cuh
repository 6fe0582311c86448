// What a run needs of those before it, and what it hands on.

// Runs samples in registers; `tap(i, k)` is the coefficient of sample i on the value k + 1 before, or after it if BACK;
// h are those values, newest first, and `each(i, value)` is told of every sample. FROM_ZERO: h begins as zeros, which
// cost nothing.
template <bool BACK, bool FROM_ZERO, class T, class V, int S, int P, class F, class G>
__device__ inline void run_samples(const V (&v)[S], T (&h)[P], F tap, G each) {
#pragma unroll
  for (int n = 0; n < S; ++n) {
    const int i = BACK ? S - 1 - n : n;
    T sum = to<T>(v[i]);
#pragma unroll
    for (int k = P - 1; k >= 0; --k)
      if (!FROM_ZERO || k < n) mac(sum, tap(i, k), h[k]);
#pragma unroll
    for (int k = P - 1; k > 0; --k) h[k] = h[k - 1];
    h[0] = sum;
    each(i, sum);
  }
}

template <class C, class A, int P, int S, bool VA, bool BACK> struct Hand {
  using V = typename C::V;
  using W = typename C::W;
  static constexpr int N = C::N, N1 = C::N1;
  Board<C> board;
  const bool careful, always_in_turn;
  bool in_turn = always_in_turn;
  int lost = 0;       // channels whose run met what is not finite, which its end from zero state may not show
  W start[N1] = {};   // before the run
  W product = one<W>();  // of feedback that varies, over the tiles that were skipped

  __device__ bool is_last() const { return board.rank == board.warps - 1; }

  // the state after a run from h
  template <bool FROM_ZERO, class T, class F>
  __device__ void end_of(const V (&v)[S], const T (&from)[P], W (&ended)[N1], F tap) const {
    T h[P];
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = from[k];
    run_samples<BACK, FROM_ZERO>(v, h, tap, [&](int i, T value) {
      if (BACK && i >= P && i < N) ended[i] = to<W>(value);
    });
#pragma unroll
    for (int k = 0; k < P; ++k) ended[k] = to<W>(h[k]);
  }

  // Computes `start`. v are right-hand sides; `finish` is what has to be done before warps meet; `mend(mine)` is called
  // where results of the warp's run in the tile before follow what is not finite: in the lane's channels `mine`.
  template <class F, class G, class H> __device__ void take(const V (&v)[S], F tap, G finish, H mend) {
    W ended[N1] = {};
    const V zeros[P] = {};
    if (!EXACT<V> && !VA && careful) {
      using AW = like_t<A, W>;
      const W wide_zeros[P] = {};
      AW a[P];
#pragma unroll
      for (int k = 0; k < P; ++k) a[k] = to<AW>(only_here(tap(0, k)));
      end_of<true>(v, wide_zeros, ended, [&](int, int k) { return a[k]; });
    } else end_of<true>(v, zeros, ended, tap);
    bool large = false;
#pragma unroll
    for (int k = 0; k < N; ++k) board.told(board.round, 1 + board.rank, k) = ended[k];
    if constexpr (VA) {
      auto product = one<A>();
#pragma unroll
      for (int i = 0; i < S; ++i) product = times(product, tap(i, 0));
      large = !(size_of(product) <= LARGEST_PRODUCT<V>);
      board.told(board.round, 1 + board.rank, N1) = to<W>(product);
    }
    finish();
    const bool news = __syncthreads_or(lost || large);
    in_turn = always_in_turn;
    int all_lost = 0;
    if (news) {
      board.flag(board.rank) = lost + 4 * int(large);
      __syncthreads();
      int all = 0, earlier = 0;
#pragma unroll 1
      for (int r = 0; r < board.warps; ++r) {
        all |= board.flag(r);
        if (r < board.rank) earlier |= board.flag(r);
      }
      in_turn = in_turn || __any_sync(ALL, all & 4);
      all_lost = all & 3;
      if (__any_sync(ALL, earlier & 3)) mend(earlier & 3);
    }
    if (in_turn) {
      W& carried = board.carried(board.round, 0);
      if (all_lost && board.rank == 0) carried = in_channels(all_lost, nan_of<W>(), carried);
      return;
    }
#pragma unroll
    for (int k = 0; k < N; ++k) start[k] = in_channels(all_lost, nan_of<W>(), board.carried(board.round, k));
    board.fold(start, board.round, 0, board.rank);
    ++board.round;
    if (EXACT<V> && !VA && careful) refine(v, tap);
  }
  // Double has nothing wider. A run from its start ends where the next one starts, but for what folding lost: the
  // difference is small, and so is what is lost in folding that.
  template <class F> __device__ void refine(const V (&v)[S], F tap) {
    V h[P];
    W ended[N1] = {}, next[N1];
#pragma unroll
    for (int k = 0; k < P; ++k) h[k] = to<V>(start[k]);
    end_of<false>(v, h, ended, tap);
#pragma unroll
    for (int k = 0; k < N; ++k) next[k] = start[k];
    board.fold(next, board.round - 1, board.rank, board.rank + 1);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      board.told(board.round, 1 + board.rank, k) = minus(ended[k], next[k]);
      next[k] = W();
    }
    __syncthreads();
    board.fold(next, board.round, 0, board.rank);
#pragma unroll
    for (int k = 0; k < N; ++k) add(start[k], next[k]);
    ++board.round;
  }
  // Instead of `take` and `run` where there is no feedback: v's first N values go on, and `after` are those that
  // follow.
  template <class G> __device__ void pass(const V (&v)[S], V (&after)[N1], G finish) {
#pragma unroll
    for (int k = 0; k < N; ++k) board.told(board.round, 1 + board.rank, k) = to<W>(v[k]);
    finish();
    __syncthreads();
#pragma unroll
    for (int k = 0; k < N; ++k) after[k] = to<V>(board.told(board.round, board.rank, k));
    ++board.round;
    if (is_last())
#pragma unroll
      for (int k = 0; k < N; ++k) board.carried(board.round, k) = to<W>(v[k]);
  }
  // Instead of the run itself: what the tile ends with.
  __device__ void skip() {
    if (in_turn) {
      // nothing comes of it, since the row's first segment will run all of it
      ++board.round;
      product = nan_of<W>();
    }
    if (!is_last()) return;
    board.fold(start, board.round - 1, board.rank, board.rank + 1);
#pragma unroll
    for (int k = 0; k < N; ++k) board.carried(board.round, k) = start[k];
    if (VA)
      for (int r = 0; r < board.warps; ++r) product = times(product, board.told(board.round - 1, 1 + r, N1));
  }
  // what was skipped, as a segment's end
  __device__ void tell(at_t<W> ends) const {
#pragma unroll
    for (int k = 0; k < N; ++k) store(ends + k, start[k]);
    if (VA) store(ends + N1, product);
  }
  // Calls `run(h)`, which turns the state before the run into that after it.
  template <class F> __device__ void run(F run) {
    const int turns = in_turn ? board.warps : 1;
#pragma unroll 1
    for (int turn = 0; turn < turns; ++turn) {
      if (turns == 1 || turn == board.rank) {
        V h[N1];
#pragma unroll
        for (int k = 0; k < N; ++k) h[k] = to<V>(in_turn ? board.carried(board.round, k) : start[k]);
        run(h);
        lost = in_turn ? 0 : finite_channels(start[0]) & ~finite_channels(h[0]);
        if (in_turn || is_last()) {
          const int wide = !EXACT<V> && !VA && careful && !in_turn ? finite_channels(h[0]) : 0;
          if (wide) board.fold(start, board.round - 1, board.rank, board.rank + 1);
#pragma unroll
          for (int k = 0; k < N; ++k)
            board.carried(board.round + int(in_turn), k) = in_channels(wide, start[k], to<W>(h[k]));
        }
      }
      if (in_turn) {
        __syncthreads();
        ++board.round;
      }
    }
  }
  // After the last tile: as in `take`, of what came up in it.
  template <class H> __device__ void leave(H mend) {
    if (!__syncthreads_or(lost)) return;
    board.flag(board.rank) = lost;
    __syncthreads();
    int earlier = 0;
#pragma unroll 1
    for (int r = 0; r < board.rank; ++r) earlier |= board.flag(r);
    if (__any_sync(ALL, earlier)) mend(earlier);
    __syncthreads();
  }
};
