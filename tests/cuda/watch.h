// Finds accesses to memory that nothing orders: two threads, one of them writing, with no barrier between.
//
// The address sanitizer is asked to call a function at every access instead of checking it in place; these functions
// are here. They check what the sanitizer would, and then who touched the same bytes before. Shuffles and votes order
// nothing, and blocks of one launch are never ordered: memory that they share may be read by all or written by one.

#include <unordered_map>

namespace emulated {
constexpr int SEVERAL = -2;

// by whom, and after how many barriers of the block and of the warp
struct Access {
  int block = -1, thread = -1, warp = -1;
  long block_syncs = 0, warp_syncs = 0;
};
struct Cell {
  Access write, read;
};

// of the smallest numbers
constexpr size_t WORD = 2;
inline Cell shared_cells[SHARED / WORD];
inline std::unordered_map<size_t, Cell> global_cells;
inline size_t shadow_scale, shadow_offset;
inline const bool mapped = (__asan_get_shadow_mapping(&shadow_scale, &shadow_offset), true);

UNWATCHED inline bool unordered(const Access& before, const Access& now) {
  if (before.block == -1) return false;
  if (before.block != now.block) return true;
  if (before.block_syncs != now.block_syncs) return false;
  if (before.warp != now.warp) return true;
  return before.warp_syncs == now.warp_syncs && before.thread != now.thread;
}
UNWATCHED inline void merge(Access& reads, const Access& now) {
  if (!unordered(reads, now)) reads = now;
  else if (reads.block != now.block) reads.block = SEVERAL;
  else if (reads.warp != now.warp) reads.warp = SEVERAL;
  else reads.thread = SEVERAL;
}
UNWATCHED inline void watch(Cell& cell, const Access& now, bool writes) {
  if (unordered(cell.write, now)) fault = "a race: no barrier between a write and another thread's access";
  if (!writes) return merge(cell.read, now);
  if (unordered(cell.read, now)) fault = "a race: no barrier between a read and another thread's write";
  cell.write = now;
}
UNWATCHED inline void touch(const char* at, size_t size, bool writes) {
  Fiber* self = current;
  if (!self || (at >= self->bottom && at < self->bottom + STACK)) return;
  const int thread = int(self->thread.x);
  const Access now{int(block_index.x), thread, thread / 32, self->block_syncs, self->warp_syncs};
  const auto offset = size_t(at - (const char*)memory);
  if (offset < SHARED) {
    for (size_t cell = offset / WORD; cell * WORD < offset + size; ++cell) watch(shared_cells[cell], now, writes);
    return;
  }
  // what looks a cell up is not to be watched
  current = nullptr;
  for (size_t cell = size_t(at) / WORD; cell * WORD < size_t(at) + size; ++cell) watch(global_cells[cell], now, writes);
  current = self;
}
UNWATCHED inline void check(void* pc, void* at, size_t size, bool writes) {
  const auto first = (const char*)((size_t(at) >> shadow_scale) + shadow_offset);
  const auto last = (const char*)(((size_t(at) + size - 1) >> shadow_scale) + shadow_offset);
  if ((*first || *last) && __asan_region_is_poisoned(at, size))
    __asan_report_error(pc, __builtin_frame_address(0), &at, at, writes, size);
  touch((const char*)at, size, writes);
}
UNWATCHED inline void forget_launch() { global_cells.clear(); }
UNWATCHED inline void forget_block() { std::fill_n(shared_cells, SHARED / WORD, Cell()); }
}  // namespace emulated

#define CHECK(...) emulated::check(__builtin_return_address(0), __VA_ARGS__)
#define WATCHED(SIZE)                                                         \
  extern "C" UNWATCHED void __asan_load##SIZE(void* at) { CHECK(at, SIZE, false); } \
  extern "C" UNWATCHED void __asan_store##SIZE(void* at) { CHECK(at, SIZE, true); }
WATCHED(1)
WATCHED(2)
WATCHED(4)
WATCHED(8)
WATCHED(16)
extern "C" UNWATCHED void __asan_loadN(void* at, size_t size) { CHECK(at, size, false); }
extern "C" UNWATCHED void __asan_storeN(void* at, size_t size) { CHECK(at, size, true); }
