"""Adapters from recipes: training data, training, evaluation.

Knows nothing of the server.
"""
