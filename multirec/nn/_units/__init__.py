"""Recurrent units of the literature, each one a module: a projection, gates, and one recurrence."""
