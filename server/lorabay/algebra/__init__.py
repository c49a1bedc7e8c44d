"""Changes of a weight as data and as arithmetic: kinds of update, products of low rank,
combinations.

Knows nothing of files or formats.
"""
