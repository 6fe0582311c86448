"""One sample of a unit: a formula of what is elementwise there, run by torch or as one call of machine code."""
