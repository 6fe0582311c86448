"""Filters that learn: banks, layers, equalisers, synthesis, and what `freeze()` makes of them."""
