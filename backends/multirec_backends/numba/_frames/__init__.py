"""Coefficients at a frame rate."""
