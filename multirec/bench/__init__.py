"""The benchmark harness: correctness first, then interleaved timing, one disposable process a contestant."""
