"""Functions of other libraries under their names, with their signatures and results; each module is named as it is.

They need torch, and never the library that they stand for.
"""
