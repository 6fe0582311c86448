"""Feedback that varies, on a few rows or with several taps: numbers straight from memory."""
