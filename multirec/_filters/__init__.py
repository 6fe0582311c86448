"""Coefficients that are held: banks, cascades, and where their numbers come from. Imports all rooms but the bridges."""
