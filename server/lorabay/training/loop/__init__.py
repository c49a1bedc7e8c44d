"""The training loop: the order of the examples, the rates, and the steps.

Knows no variant by name, and neither recipes' files nor where results are written.
"""
