"""The steps of the schema, one module each, in the order in which each names the one before it.

A step that was released never changes. It does not read `METADATA`, which tells of today.
"""
