// CUDA's built-ins on a CPU: one fiber for every thread of a block, and barriers that all of them must reach.
//
// Fibers run in an order that the caller chooses, and change only at barriers and shuffles. A missing barrier so
// shows as a result that depends on the order, and one that only some threads reach as a deadlock, which is reported.

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

#define __host__
#define __device__
#define __shared__
#define __align__(n) __attribute__((aligned(n)))

namespace emulated {
struct Index { unsigned x; };
struct Barrier {
  int waiting = 0;
  long generation = 0;
};
struct Stack {
  const void* bottom = nullptr;
  size_t size = 0;
};
struct Fiber {
  ucontext_t context;
  std::vector<char> memory;
  Index thread;
  void* kept = nullptr;
  bool done = false;
};
constexpr size_t STACK = 256 << 10;

inline std::vector<std::unique_ptr<Fiber>> fibers;
inline Fiber* current;
inline ucontext_t scheduler;
inline Stack scheduler_stack;
inline Index block_index, block_size, grid_size;
inline Barrier of_block, of_warp[32];
inline int predicate[2], predicate_turn;
inline unsigned char slots[32][32][8];
inline std::function<void()> body;
inline long progress;

inline void to_scheduler(bool last) {
  Fiber* self = current;
  FIBER_LEAVE(last ? nullptr : &self->kept, scheduler_stack);
  swapcontext(&self->context, &scheduler);
  FIBER_ENTER(self->kept);
}
inline void entry() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack.bottom, &scheduler_stack.size);
#endif
  body();
  current->done = true;
  ++progress;
  to_scheduler(true);
}
inline void wait(Barrier& barrier, int count) {
  long generation = barrier.generation;
  if (++barrier.waiting == count) {
    barrier.waiting = 0;
    ++barrier.generation;
    ++progress;
    return;
  }
  while (barrier.generation == generation) to_scheduler(false);
}
inline Barrier& warp() { return of_warp[current->thread.x / 32]; }

// runs one block; false if its threads wait for each other for ever
inline bool run_block(int threads, unsigned seed) {
  std::vector<int> order(threads);
  std::iota(order.begin(), order.end(), 0);
  if (seed == 1) std::reverse(order.begin(), order.end());
  if (seed > 1) std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  of_block = {};
  for (auto& barrier : of_warp) barrier = {};
  predicate[0] = predicate[1] = predicate_turn = 0;
  while (int(fibers.size()) < threads) {
    fibers.push_back(std::make_unique<Fiber>());
    fibers.back()->memory.resize(STACK);
  }
  for (int i = 0; i < threads; ++i) {
    Fiber& fiber = *fibers[i];
    fiber.thread.x = i;
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack = {fiber.memory.data(), 0, fiber.memory.size()};
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, entry, 0);
  }
  for (int left = threads; left;) {
    long before = progress;
    left = 0;
    for (int i : order) {
      current = fibers[i].get();
      if (current->done) continue;
      void* kept = nullptr;
      Stack stack{current->memory.data(), current->memory.size()};
      FIBER_LEAVE(&kept, stack);
      swapcontext(&scheduler, &current->context);
      FIBER_ENTER(kept);
      left += !current->done;
    }
    if (left && before == progress) return false;
  }
  return true;
}
}  // namespace emulated

#define threadIdx (emulated::current->thread)
#define blockIdx emulated::block_index
#define blockDim emulated::block_size
#define gridDim emulated::grid_size

inline void __syncwarp() { emulated::wait(emulated::warp(), 32); }
inline void __syncthreads() { emulated::wait(emulated::of_block, emulated::block_size.x); }
inline int __syncthreads_or(int value) {
  emulated::predicate[0] |= value != 0;
  __syncthreads();
  int any = emulated::predicate[0];
  __syncthreads();
  emulated::predicate[0] = 0;
  __syncthreads();
  return any;
}
template <class T> inline T __shfl_sync(unsigned, T value, int lane) {
  auto& slots = emulated::slots[threadIdx.x / 32];
  std::memcpy(slots[threadIdx.x % 32], &value, sizeof value);
  __syncwarp();
  std::memcpy(&value, slots[lane % 32], sizeof value);
  __syncwarp();
  return value;
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, int d) {
  int lane = threadIdx.x % 32;
  return __shfl_sync(mask, value, lane < d ? lane : lane - d);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, int d) {
  int lane = threadIdx.x % 32;
  return __shfl_sync(mask, value, lane + d > 31 ? lane : lane + d);
}
inline unsigned __ballot_sync(unsigned, int value) {
  unsigned bits = 0;
  auto& slots = emulated::slots[threadIdx.x / 32];
  slots[threadIdx.x % 32][0] = value != 0;
  __syncwarp();
  for (int lane = 0; lane < 32; ++lane) bits |= unsigned(slots[lane][0]) << lane;
  __syncwarp();
  return bits;
}
inline int __any_sync(unsigned mask, int value) { return __ballot_sync(mask, value) != 0; }
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
inline double widened(float value) { return value; }
inline float narrowed(double value) { return float(value); }
using i64 = long long;
template <class T> inline T* kept(T* at) { return at; }
template <class T> inline T* kept_shared(T* at) { return at; }
inline i64 only_here(i64 value) { return value; }
