"""Adapters from recipes: training data and training.

Knows nothing of the server.
"""
