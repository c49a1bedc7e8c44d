"""The names in an adapter, of modules and of tensors in them, as the base's own files have them.

Reads no values and knows no format.
"""
