"""The bridge to torch: autograd, compilers, transforms. The only room but `nn` that imports torch.

`door` is the way in; the others are its inside. Imports `_engine`, `_calculus` and what those import.
"""
