"""Second-order sections in one pass."""
