"""Recurrences with an activation inside."""
