"""The base model as files: where it is, what shapes and values its tensors have, how it is
quantised.

Knows nothing of adapters or of the engine.
"""
