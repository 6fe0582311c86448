"""From weights to coefficients: formulas in closed form, stable whatever the weights are."""
