"""The way out when an adapter is not good enough: a larger one, and in the end the whole model.

Trains one rung after another until a target holds. Knows nothing of servers.
"""
