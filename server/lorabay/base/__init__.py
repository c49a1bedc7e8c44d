"""The base model as files: its place, the shapes and values of its tensors, how it is quantised.

Knows nothing of adapters or of the engine.
"""
