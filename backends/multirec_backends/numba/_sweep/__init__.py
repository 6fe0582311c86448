"""Gates where channels are neighbours in memory: rows of time as they lie."""
