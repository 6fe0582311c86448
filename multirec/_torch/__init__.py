"""The bridge to torch: autograd, compilers, transforms. The only room but `nn` that imports torch."""
