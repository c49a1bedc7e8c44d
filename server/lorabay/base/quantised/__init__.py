"""Quantised bases as dense tensors: one module for each way of packing.

Knows nothing of adapters.
"""
