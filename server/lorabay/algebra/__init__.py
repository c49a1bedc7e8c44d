"""Changes of a weight, as data and as arithmetic.

Owns the kinds of update, their best products of low rank, and combinations of several adapters.
Knows nothing of adapter folders, PEFT types or servers.
"""
