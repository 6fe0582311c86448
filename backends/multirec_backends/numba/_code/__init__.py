"""The language of kernels: numbers, memory, tiles, arguments, and what kernels of several kinds share."""
