"""One step of a recurrent unit."""
