// The door through which Python launches the emulated kernels that `KERNELS` lists.

alignas(16) unsigned char memory[160 << 10];

namespace emulated {
struct Kernel {
  const char* name;
  void (*call)(const void* params);
};
extern const Kernel kernels[];
extern const int kernel_count;
}  // namespace emulated

// 0: done; 1: no such kernel; 2: deadlock
extern "C" int launch(const char* name, long grid, int block, int shared, unsigned seed, const void* params) {
  using namespace emulated;
  for (int k = 0; k < kernel_count; ++k) {
    if (std::strcmp(kernels[k].name, name)) continue;
    block_size.x = block;
    grid_size.x = unsigned(grid);
    body = [&] { kernels[k].call(params); };
    bool fine = true;
    for (long i = 0; fine && i < grid; ++i) {
      ASAN_UNPOISON_MEMORY_REGION(memory, sizeof memory);
      std::memset(memory, 0xff, sizeof memory);
      ASAN_POISON_MEMORY_REGION(memory + shared, sizeof memory - shared);
      block_index.x = unsigned(seed == 1 ? grid - 1 - i : i);
      fine = run_block(block, seed);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, sizeof memory);
    return fine ? 0 : 2;
  }
  return 1;
}
