// Kernels with one fault each, of every kind that the emulator must see; `sound` has none.

extern __shared__ __align__(16) unsigned char memory[];

__device__ inline float* shared_floats() { return (float*)memory; }
__device__ inline float* outputs(const Problem& p) { return (float*)p.y.at; }

__device__ void sound(const Problem& p) {
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    __syncthreads();
    shared_floats()[threadIdx.x] = float(threadIdx.x);
    __syncwarp();
    const float sum = shared_floats()[threadIdx.x ^ 1] + from_lane(1.0f, 0);
    __syncthreads();
    outputs(p)[item * 64 + threadIdx.x] = sum + shared_floats()[63 - threadIdx.x];
  }
}
// neighbours in a warp, and a shuffle that orders nothing
__device__ void no_syncwarp(const Problem& p) {
  shared_floats()[threadIdx.x] = 1.0f;
  from_lane(1.0f, 0);
  outputs(p)[threadIdx.x] = shared_floats()[threadIdx.x ^ 1];
}
__device__ void overwritten_early(const Problem& p) {
  shared_floats()[threadIdx.x] = 1.0f;
  __syncwarp();
  const float neighbour = shared_floats()[threadIdx.x ^ 1];
  shared_floats()[threadIdx.x] = 2.0f;
  outputs(p)[threadIdx.x] = neighbour;
}
__device__ void no_syncthreads(const Problem& p) {
  shared_floats()[threadIdx.x] = 1.0f;
  __syncwarp();
  outputs(p)[threadIdx.x] = shared_floats()[63 - threadIdx.x];
}
__device__ void next_item_too_early(const Problem& p) {
  for (i64 item = blockIdx.x; item < p.items; item += gridDim.x) {
    shared_floats()[threadIdx.x] = 1.0f;
    __syncthreads();
    outputs(p)[item * 64 + threadIdx.x] = shared_floats()[63 - threadIdx.x];
  }
}
__device__ void lane_misses_a_shuffle(const Problem& p) {
  float value = 1.0f;
  if (threadIdx.x != 5) value = from_lane(value, 0);
  outputs(p)[threadIdx.x] = value;
}
__device__ void threads_meet_at_different_barriers(const Problem& p) {
  if (threadIdx.x % 2) from_lane(1.0f, 0);
  else __ballot_sync(ALL, 1);
}
__device__ void warp_misses_the_blocks_barrier(const Problem& p) {
  if (threadIdx.x >= 32) return;
  __syncthreads();
}
__device__ void blocks_depend_on_their_order(const Problem& p) {
  outputs(p)[threadIdx.x] = blockIdx.x ? outputs(p)[threadIdx.x] + 1.0f : 0.0f;
}
__device__ void blocks_write_the_same(const Problem& p) { outputs(p)[threadIdx.x] = 1.0f; }
__device__ void misaligned(const Problem& p) {
  Pack<float, 4> pack = {};
  store_pack(outputs(p) + 1 + 4 * threadIdx.x, pack);
}
__device__ void misaligned_in_shared_memory(const Problem& p) { ((Pack<float, 4>*)(memory + 8))[threadIdx.x] = {}; }
__device__ void beyond_the_array(const Problem& p) { outputs(p)[256 + threadIdx.x] = 1.0f; }
__device__ void beyond_shared_memory(const Problem& p) { shared_floats()[512 + threadIdx.x] = 1.0f; }
__device__ void beyond_a_lanes_own_array(const Problem& p) {
  float own[4] = {};
  for (int i = 0; i < 4; ++i) own[i + (p.items > 0)] = 1.0f;
  outputs(p)[threadIdx.x] = own[threadIdx.x % 4];
}
__device__ void index_beyond_31_bits(const Problem& p) {
  const int far = int(p.length);
  outputs(p)[blockIdx.x * 64 + threadIdx.x] = float(far * far);
}
__device__ void never_written(const Problem& p) {
  outputs(p)[blockIdx.x * 64 + threadIdx.x] = shared_floats()[threadIdx.x];
}
