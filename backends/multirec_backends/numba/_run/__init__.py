"""From a kernel's source to its run on arrays: compiled and kept, threads, sums of what threads leave apart."""
