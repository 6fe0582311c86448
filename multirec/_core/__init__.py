"""What a recurrence is: sizes, types, axes, states, and the validation of what users pass.

Pure descriptions and views: nothing is computed, copied or chosen here. Imports `errors` and `_machine`.
"""
