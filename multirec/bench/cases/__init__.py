"""What is computed, on which numbers, and what is right. Imports no other room of the harness.

What is right comes from `multirec.testing`, whose oracle the tests use too.
"""
