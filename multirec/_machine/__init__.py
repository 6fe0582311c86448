"""What the process asks of the machine: addresses, bits, the C library, threads and forks. Imports `errors` alone."""
