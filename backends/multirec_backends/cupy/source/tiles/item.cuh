// What forward and backward ask first of an item, the rows and the segment that are a block's next: how far its powers can
// be trusted, and which tiles of time are its own.

// What `carry_varying` says of a block's rows; by a vote, which shows the compiler that the lanes of a warp agree: else it
// prepares every shuffle that follows for lanes that do not.
template <class W> __device__ inline bool any_unstable(const Problem& p, i64 place) {
  return __any_sync(ALL, __syncthreads_or(size_of(((const W*)p.starts)[place + 1]) != 0));
}

// Whether phase 3 runs any of a block's rows again, as phase 1 said.
__device__ inline bool runs_again(const Problem& p) {
  bool again = false;
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) again = again || ((const i64*)p.again)[Place(p, item).row];
  return again;
}

// What a warp has in shared memory: tiles of its row, of its x or of the one that the block shares, of its y where that is
// read, and of what is written sample by sample while the next tile is copied; the powers of its feedback, or those that
// vary.
template <class F, class A, int P> struct Shared {
  using Table = Powers<typename F::WA, P, F::M>;
  typename F::Row tile, aside;
  typename F::RowOfX source;
  typename F::RowOfY past;
  Table table;
  typename F::RowOfA varying;
  template <bool HAS_X, bool HAS_Y, bool HAS_ASIDE>
  __device__ static Shared of(unsigned char* memory, const Place& w, bool shares_x) {
    const int rows = 1 << w.log_rows, xs = !HAS_X ? 0 : shares_x ? 2 : rows;
    const int x = rows * F::Row::SPAN, y = x + xs * F::RowOfX::SPAN;
    const int aside = y + (HAS_Y ? rows * F::RowOfY::SPAN : 0), rest = aside + (HAS_ASIDE ? rows * F::Row::SPAN : 0);
    return {{(typename F::V*)(memory + w.warp * F::Row::SPAN)},
            {(typename F::V*)(memory + aside + w.warp * F::Row::SPAN)},
            {(typename F::RowOfX::Sample*)(memory + x + (shares_x ? 0 : w.warp) * F::RowOfX::SPAN)},
            {(typename F::RowOfY::Sample*)(memory + y + w.warp * F::RowOfY::SPAN)},
            {kept_shared((typename F::WA*)(memory + rest) + w.warp * Table::COUNT * P * P)},
            {(A*)(memory + rest + w.warp * F::RowOfA::SPAN)}};
  }
};

// Whether threads of a block write or read each other's tiles.
__device__ inline bool crosses(const Problem& p) {
  auto is = [](i64 access) { return int(access) == ACROSS; };
  return is(p.x.access) || is(p.y.access) || is(p.a.access) || is(p.grad_y.access) || is(p.grad_x.access) ||
         is(p.grad_a.access) || is(p.grad_b.access);
}

// How a block runs the rows of an item. `place` is where the state of the warp's segment is.
enum Care { SCANNED, WITH_CARE, IN_TURN };  // scanned, scanned carefully, or lane after lane
struct Manner {
  Care care;
  bool alone;       // all of a row by its first segment
  int first, stop;  // tiles
};

template <class F, bool VA, class A, int P, class Table>
__device__ inline Manner manner_of(const Problem& p, const Place& w, const Table& table, int phase, i64 place) {
  using V = typename F::V;
  bool careful = false, in_turn = false, alone = false;
  if constexpr (P > 0 && !VA) {
    const double loss = table.template build<V>(at<const A>(p.a, w.b, w.c), p.a.tap, p.segments > 1, w.lane);
    in_turn = table.are_large(w.lane);
    careful = in_turn || __any_sync(ALL, !(loss <= LARGEST_LOSS * LARGEST_LOSS));
    if (p.segments > 1) alone = __syncthreads_or(in_turn || table.reach_large(p.length, w.lane));
    if (EXACT<V> && phase == 1) {
      const bool again = __syncthreads_or(careful) && !alone;
      if (w.segment == 0 && w.lane == 0 && w.active) ((i64*)p.again)[w.row] = again;
    }
  }
  if constexpr (P > 0 && VA)
    if (phase > 1) alone = any_unstable<typename F::W>(p, place);
  const int all = int((p.length + F::K - 1) / F::K);
  int first = int(w.segment * p.tiles), stop = first + int(p.tiles) < all ? first + int(p.tiles) : all;
  if (alone) {
    first = 0;
    stop = phase == 1 || w.segment ? 0 : all;
  }
  return {in_turn ? IN_TURN : careful ? WITH_CARE : SCANNED, alone, first, stop};
}
