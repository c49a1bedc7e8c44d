"""How good models are on data that they have not learnt: figures with intervals, and tests of
differences.

A model is the base, or the base with an adapter, here or behind an endpoint. Trains nothing.
"""
