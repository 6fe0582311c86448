// What the kernels take from the device itself, apart from CUDA's own built-ins.

using i64 = long long;

__device__ inline float half_to_float(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
__device__ inline unsigned short half_from_float(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
__device__ inline unsigned short bfloat_from_float(float value) {
  const unsigned bits = __float_as_int(value);
  return value != value ? (unsigned short)0x7fc0 : (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
__device__ inline unsigned halves_from_floats(float first, float second) {
#if __CUDA_ARCH__ >= 800
  unsigned bits;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
  return bits;
#else
  return half_from_float(first) | unsigned(half_from_float(second)) << 16;
#endif
}
__device__ inline unsigned bfloats_from_floats(float first, float second) {
#if __CUDA_ARCH__ >= 800
  unsigned bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
  return bits;
#else
  return bfloat_from_float(first) | unsigned(bfloat_from_float(second)) << 16;
#endif
}
// Copies a word of 4, 8 or 16 bytes to shared memory, where it is once `copies_arrived` has returned to this thread.
template <class T> __device__ inline void copy_async(void* to, const void* from) {
#if __CUDA_ARCH__ >= 800
  const unsigned shared = __cvta_generic_to_shared(to);
  const size_t global = __cvta_generic_to_global(from);
  if constexpr (sizeof(T) == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(shared), "l"(global) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" : : "r"(shared), "l"(global), "n"(sizeof(T)) : "memory");
#else
  *(T*)to = __ldg((const T*)from);
#endif
}
__device__ inline void copies_arrived() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" : : : "memory");
#endif
}
// what a cast does, without the instructions that flush subnormal numbers
__device__ inline double widened(float value) {
  double wide;
  asm("cvt.f64.f32 %0, %1;" : "=d"(wide) : "f"(value));
  return wide;
}
__device__ inline float narrowed(double value) {
  float narrow;
  asm("cvt.rn.f32.f64 %0, %1;" : "=f"(narrow) : "d"(value));
  return narrow;
}
// the same value, which is kept in registers, since the compiler can't see how to compute it again
template <class T> __device__ inline T* kept(T* at) {
  size_t global = __cvta_generic_to_global(at);
  asm("" : "+l"(global));
  return (T*)__cvta_global_to_generic(global);
}
template <class T> __device__ inline T* kept_shared(T* at) {
  size_t shared = __cvta_generic_to_shared(at);
  asm("" : "+l"(shared));
  return (T*)__cvta_shared_to_generic(shared);
}
// the same value, as something that only this place can compute: what follows from it is not kept in registers
__device__ inline i64 only_here(i64 value) {
  asm volatile("" : "+l"(value));
  return value;
}
__device__ inline int only_here(int value) {
  asm volatile("" : "+r"(value));
  return value;
}
__device__ inline float only_here(float value) {
  asm volatile("" : "+f"(value));
  return value;
}
__device__ inline double only_here(double value) {
  asm volatile("" : "+d"(value));
  return value;
}
