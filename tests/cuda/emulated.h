// CUDA's built-ins on a CPU: one fiber for every thread of a block, and barriers that all of them must reach.
//
// Fibers run in an order that the caller chooses, and change only at barriers and shuffles. What goes wrong is a fault
// that the launch returns: a barrier or shuffle that only some threads reach, or that some reach on another way through
// the code; and, with the sanitizers, an access that no barrier orders (watch.h).

#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define FIBER_LEAVE(keep, to) __sanitizer_start_switch_fiber(keep, (to).bottom, (to).size)
#define FIBER_ENTER(kept) __sanitizer_finish_switch_fiber(kept, nullptr, nullptr)
#else
#define FIBER_LEAVE(keep, to) (void)(to)
#define FIBER_ENTER(kept) (void)(kept)
#define ASAN_POISON_MEMORY_REGION(a, n) (void)(n)
#define ASAN_UNPOISON_MEMORY_REGION(a, n) (void)(n)
#endif

// code that is the emulator's own, not the kernels'
#define UNWATCHED __attribute__((no_sanitize_address))
// a barrier is told by the line that it stands on
#define LINE int line = __builtin_LINE()

#define __host__
#define __device__
#define __shared__
#define __align__(n) __attribute__((aligned(n)))

namespace emulated {
constexpr size_t STACK = 64 << 10, SHARED = 160 << 10, COPIES = 512;
struct Index { unsigned x; };
struct Barrier {
  int waiting = 0;
  long generation = 0;
  int line = 0;
};
struct Stack {
  const void* bottom = nullptr;
  size_t size = 0;
};
struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};
struct Fiber {
  ucontext_t context;
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(STACK);
  const char* bottom = stack.get();
  Index thread;
  long block_syncs, warp_syncs;
  void* kept = nullptr;
  bool done = false;
  Copy copies[COPIES];  // on their way to shared memory, the first of which is next
  int first_copy = 0, copy_count = 0;
};

inline std::vector<std::unique_ptr<Fiber>> fibers;
inline Fiber* current;
inline ucontext_t scheduler;
inline Stack scheduler_stack;
inline Index block_index, block_size, grid_size;
inline Barrier of_block, of_warp[32];
inline int predicate;
inline unsigned char slots[32][32][8];
inline std::function<void()> body;
inline long progress;
inline const char* fault;
inline bool copies_late;

UNWATCHED inline void to_scheduler(bool last) {
  Fiber* self = current;
  FIBER_LEAVE(last ? nullptr : &self->kept, scheduler_stack);
  swapcontext(&self->context, &scheduler);
  FIBER_ENTER(self->kept);
}
UNWATCHED inline void entry() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack.bottom, &scheduler_stack.size);
#endif
  body();
  if (current->copy_count) fault = "a thread ends before its copies have arrived";
  current->done = true;
  ++progress;
  to_scheduler(true);
}
UNWATCHED inline void wait(Barrier& barrier, int count, int line) {
  long generation = barrier.generation;
  if (barrier.waiting && barrier.line != line) fault = "threads meet at different barriers or shuffles";
  barrier.line = line;
  if (++barrier.waiting == count) {
    barrier.waiting = 0;
    ++barrier.generation;
    ++progress;
    return;
  }
  while (barrier.generation == generation) to_scheduler(false);
}
UNWATCHED inline void wait_for_warp(int line) { wait(of_warp[current->thread.x / 32], 32, line); }
UNWATCHED inline void wait_for_block(int line) {
  wait(of_block, block_size.x, line);
  ++current->block_syncs;
}

UNWATCHED inline void keep_copy(Copy copy) {
  if (current->copy_count == COPIES) fault = "more copies on their way than the emulator keeps";
  else current->copies[current->copy_count++] = copy;
}
UNWATCHED inline bool take_copy(Copy& copy) {
  if (current->first_copy == current->copy_count) {
    current->first_copy = current->copy_count = 0;
    return false;
  }
  copy = current->copies[current->first_copy++];
  return true;
}

// runs one block, up to a fault
UNWATCHED inline void run_block(int threads, unsigned seed) {
  std::vector<int> order(threads);
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  of_block = {};
  for (auto& barrier : of_warp) barrier = {};
  predicate = 0;
  copies_late = seed != 0;
  while (int(fibers.size()) < threads) fibers.push_back(std::make_unique<Fiber>());
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = *fibers[i];
    fiber.thread.x = i;
    fiber.block_syncs = fiber.warp_syncs = 0;
    fiber.first_copy = fiber.copy_count = 0;
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {fiber.stack.get(), 0, STACK};
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, entry, 0);
  }
  for (int left = threads; left && !fault;) {
    long before = progress;
    left = 0;
    for (int i : order) {
      Fiber& fiber = *fibers[i];
      if (fiber.done) continue;
      void* kept = nullptr;
      current = &fiber;
      FIBER_LEAVE(&kept, (Stack{fiber.stack.get(), STACK}));
      swapcontext(&scheduler, &fiber.context);
      FIBER_ENTER(kept);
      current = nullptr;
      left += !fiber.done;
    }
    if (left && before == progress) fault = "some threads wait for ever at a barrier or shuffle";
  }
}
}  // namespace emulated

extern unsigned char memory[emulated::SHARED];
#if defined(__SANITIZE_ADDRESS__)
#include "watch.h"
#else
namespace emulated {
inline void forget_launch() {}
inline void forget_block() {}
}  // namespace emulated
#endif

#define threadIdx (emulated::current->thread)
#define blockIdx emulated::block_index
#define blockDim emulated::block_size
#define gridDim emulated::grid_size

UNWATCHED inline void __syncwarp(LINE) {
  emulated::wait_for_warp(line);
  ++emulated::current->warp_syncs;
}
UNWATCHED inline void __syncthreads(LINE) { emulated::wait_for_block(line); }
UNWATCHED inline int __syncthreads_or(int value, LINE) {
  emulated::predicate |= value != 0;
  emulated::wait_for_block(line);
  int any = emulated::predicate;
  emulated::wait_for_block(line);
  emulated::predicate = 0;
  emulated::wait_for_block(line);
  return any;
}
template <class T> UNWATCHED inline T __shfl_sync(unsigned, T value, int lane, LINE) {
  auto& slots = emulated::slots[threadIdx.x / 32];
  std::memcpy(slots[threadIdx.x % 32], &value, sizeof value);
  emulated::wait_for_warp(line);
  std::memcpy(&value, slots[lane % 32], sizeof value);
  emulated::wait_for_warp(line);
  return value;
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, int d, LINE) {
  int lane = threadIdx.x % 32;
  return __shfl_sync(mask, value, lane < d ? lane : lane - d, line);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, int d, LINE) {
  int lane = threadIdx.x % 32;
  return __shfl_sync(mask, value, lane + d > 31 ? lane : lane + d, line);
}
UNWATCHED inline unsigned __ballot_sync(unsigned, int value, LINE) {
  unsigned bits = 0;
  auto& slots = emulated::slots[threadIdx.x / 32];
  slots[threadIdx.x % 32][0] = value != 0;
  emulated::wait_for_warp(line);
  for (int lane = 0; lane < 32; ++lane) bits |= unsigned(slots[lane][0]) << lane;
  emulated::wait_for_warp(line);
  return bits;
}
inline int __any_sync(unsigned mask, int value, LINE) { return __ballot_sync(mask, value, line) != 0; }
struct int2 { alignas(8) int x; int y; };
struct int4 { alignas(16) int x; int y, z, w; };
template <class T> inline T __ldg(const T* at) { return *at; }
template <class T> inline void __stcs(T* at, T value) { *at = value; }
inline float __int_as_float(int bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline int __float_as_int(float value) {
  int bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float half_to_float(unsigned short bits) {
  _Float16 value;
  std::memcpy(&value, &bits, 2);
  return float(value);
}
inline unsigned short half_from_float(float value) {
  auto half = _Float16(value);
  unsigned short bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}
inline unsigned short bfloat_from_float(float value) {
  const unsigned bits = __float_as_int(value);
  return value != value ? 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}
inline unsigned halves_from_floats(float first, float second) {
  return half_from_float(first) | unsigned(half_from_float(second)) << 16;
}
inline unsigned bfloats_from_floats(float first, float second) {
  return bfloat_from_float(first) | unsigned(bfloat_from_float(second)) << 16;
}
// at once, or as late as may be
template <class T> inline void copy_async(void* to, const void* from) {
  if (emulated::copies_late) emulated::keep_copy({to, from, sizeof(T)});
  else *(T*)to = *(const T*)from;
}
inline void copies_arrived() {
  emulated::Copy copy;
  while (emulated::take_copy(copy)) {
    if (copy.bytes == 4) *(int*)copy.to = *(const int*)copy.from;
    else if (copy.bytes == 8) *(int2*)copy.to = *(const int2*)copy.from;
    else *(int4*)copy.to = *(const int4*)copy.from;
  }
}
inline double widened(float value) { return value; }
inline float narrowed(double value) { return float(value); }
using i64 = long long;
template <class T> inline T* kept(T* at) { return at; }
template <class T> inline T* kept_shared(T* at) { return at; }
template <class T> inline T only_here(T value) { return value; }
