// The door through which Python launches the emulated kernels that `KERNELS` lists.

alignas(16) unsigned char memory[emulated::SHARED] = {};

namespace emulated {
struct Kernel {
  const char* name;
  void (*call)(const void* params);
};
extern const Kernel kernels[];
extern const int kernel_count;
}  // namespace emulated

// what went wrong, or nothing; in an odd order half of the blocks compute what all of them would
extern "C" const char* launch(const char* name, long grid, int block, int shared, unsigned seed, const void* params) {
  using namespace emulated;
  for (int k = 0; k < kernel_count; ++k) {
    if (std::strcmp(kernels[k].name, name)) continue;
    if (seed % 2) grid = (grid + 1) / 2;
    block_size.x = block;
    grid_size.x = unsigned(grid);
    body = [&] { kernels[k].call(params); };
    fault = nullptr;
    forget_launch();
    for (long i = 0; !fault && i < grid; ++i) {
      ASAN_UNPOISON_MEMORY_REGION(memory, sizeof memory);
      std::memset(memory, 0xff, sizeof memory);
      ASAN_POISON_MEMORY_REGION(memory + shared, sizeof memory - shared);
      forget_block();
      block_index.x = unsigned(seed == 1 ? grid - 1 - i : i);
      run_block(block, seed);
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, sizeof memory);
    return fault;
  }
  return "not built";
}
