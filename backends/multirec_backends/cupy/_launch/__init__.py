"""Compiling and launching kernels: for torch through NVRTC and the driver alone, for other arrays through CuPy."""
