"""Several sequences in one row of time."""
