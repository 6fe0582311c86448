"""The door of torch tensors: autograd, compilers, transforms. The only room but `nn` that imports torch."""
