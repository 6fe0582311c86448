"""Functions of other libraries, with their names, signatures and results: `multirec.compat.torchaudio`.

A module needs torch, and never the library that it is named after.
"""
