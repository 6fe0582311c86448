"""From a call to its kernel: the plan of a signature, bound once, and its run. Imports all of the rooms before it.

No array library is imported here, and no derivative is known.
"""
