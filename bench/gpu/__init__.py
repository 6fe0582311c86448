"""What `make gpu` runs on a machine with a GPU: `python -m gpu`, in the folder above.

`run` starts steps in processes of their own and needs no library; `items` runs one step in its process; `results` is
what both write to. What the steps do is in `steps`.
"""
