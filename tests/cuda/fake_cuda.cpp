// A driver and a compiler that are none: what tests tell them is what they say, and what they are told they keep.

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>

struct Context { int device; };
struct Module { Context* context; std::string text; };
struct Launch { int device; unsigned blocks, threads, shared; unsigned long long stream; long long first; char text[256]; };

extern "C" {

int driver_version = 13000, device_count = 2, init_status = 0, load_status = 0, launch_status = 0;
int major_capability = 9, minor_capability = 0;
int nvrtc_major = 13, nvrtc_minor = 0, compile_status = 0;
int begun = 0, entered = 0, compiled = 0, loaded = 0, launched = 0;
Launch last;
static Context contexts[8];
static thread_local Context* stack[16];
static thread_local int depth = 0;

int cuInit(unsigned) { begun += !init_status; return init_status; }
int cuDriverGetVersion(int* version) { *version = driver_version; return 0; }
int cuDeviceGetCount(int* count) { *count = device_count; return begun ? 0 : 3; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? major_capability : attribute == 76 ? minor_capability : -1;
  return 0;
}
int cuDevicePrimaryCtxRetain(Context** context, int device) {
  contexts[device].device = device;
  *context = &contexts[device];
  return device < device_count ? 0 : 101;
}
int cuCtxSetCurrent(Context* context) { depth = depth ? depth : 1; stack[depth - 1] = context; ++entered; return 0; }
int cuCtxPushCurrent_v2(Context* context) { stack[depth++] = context; return 0; }
int cuCtxPopCurrent_v2(Context** context) { *context = stack[--depth]; return 0; }
int cuModuleLoadData(Module** module, const char* image) {
  if (!depth) return 201;
  if (load_status) return load_status;
  ++loaded;
  bool known = !memcmp(image, "\x7f" "ELF", 4) || !memcmp(image, "//", 2);
  *module = new Module{stack[depth - 1], image + (known ? 4 : 0)};
  return known ? 0 : 200;
}
int cuModuleGetFunction(Module** function, Module* module, const char* name) {
  *function = module;
  return strcmp(name, "multirec_kernel") ? 500 : 0;
}
int cuLaunchKernel(Module* function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned v, unsigned w,
                   unsigned shared, unsigned long long stream, void** arguments, void** extra) {
  if (!depth) return 201;
  if (stack[depth - 1] != function->context) return 400;
  if (launch_status) return launch_status;
  if (y != 1 || z != 1 || v != 1 || w != 1 || extra) return 1;
  ++launched;
  last = {function->context->device, x, threads, shared, stream, *(long long*)arguments[0], ""};
  strncpy(last.text, function->text.c_str(), 255);
  return 0;
}
int cuGetErrorName(int status, const char** name) {
  *name = status == 201 ? "CUDA_ERROR_INVALID_CONTEXT" : status == 222 ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION" : "CUDA_ERROR_FAKE";
  return 0;
}
int cuGetErrorString(int, const char** text) { *text = "as the test asked"; return 0; }
// cuda-bindings asks for all functions by this one
int cuGetProcAddress_v2(const char* symbol, void** function, int, unsigned long long, int*) {
  static void* self = dlopen(getenv("FAKE_CUDA"), RTLD_NOW | RTLD_NOLOAD);
  *function = dlsym(self, (std::string(symbol) + "_v2").c_str());
  if (!*function) *function = dlsym(self, symbol);
  return *function ? 0 : 500;
}
int cuGetProcAddress(const char* symbol, void** function, int version, unsigned long long flags) {
  return cuGetProcAddress_v2(symbol, function, version, flags, nullptr);
}

struct Program { std::string source, log, image; };

int nvrtcVersion(int* major, int* minor) { *major = nvrtc_major; *minor = nvrtc_minor; return 0; }
int nvrtcGetNumSupportedArchs(int* count) { *count = 3; return 0; }
int nvrtcGetSupportedArchs(int* archs) { archs[0] = 75; archs[1] = 90; archs[2] = 100; return 0; }
int nvrtcCreateProgram(Program** program, const char* source, const char*, int, const char**, const char**) {
  *program = new Program{source, "", ""};
  return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char** options) {
  std::string target = std::string(options[count - 1]).substr(strlen("--gpu-architecture="));
  ++compiled;
  if (program->source.find("#error") != std::string::npos) {
    program->log = "multirec.cu(1): error: what it was\n";
    return 6;
  }
  // the last line says which kernel it is
  std::string kernel = program->source.substr(program->source.rfind("extern"));
  program->image = (target[0] == 's' ? "\x7f" "ELF" : "// P") + target + " " + kernel;
  return compile_status;
}
int nvrtcGetCUBINSize(Program* program, size_t* size) { *size = program->image.size() + 1; return 0; }
int nvrtcGetCUBIN(Program* program, char* image) { strcpy(image, program->image.c_str()); return 0; }
int nvrtcGetPTXSize(Program* program, size_t* size) { *size = program->image.size() + 1; return 0; }
int nvrtcGetPTX(Program* program, char* image) { strcpy(image, program->image.c_str()); return 0; }
int nvrtcGetProgramLogSize(Program* program, size_t* size) { *size = program->log.size() + 1; return 0; }
int nvrtcGetProgramLog(Program* program, char* log) { strcpy(log, program->log.c_str()); return 0; }
int nvrtcDestroyProgram(Program** program) { delete *program; *program = nullptr; return 0; }
}
