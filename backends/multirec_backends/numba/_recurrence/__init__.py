"""One recurrence a row: lanes of channels, in tiles; few long signals in segments of time."""
