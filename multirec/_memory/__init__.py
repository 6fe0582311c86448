"""Arrays from one library to another, and fresh ones. Imports `_core` and `_machine`."""
