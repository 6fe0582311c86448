"""What a recurrence is: sizes, types, axes, states, and the validation of what users pass.

Descriptions and views, and the few casts and copies of any library that they need. Nothing is computed or chosen here.
Imports `errors` and `_machine`.
"""
