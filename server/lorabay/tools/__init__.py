"""Tools for one adapter, without a server: check, convert, combine, inspect.

Knows nothing of training or of the engine.
"""
