"""Composite adapters: weighted sums of other adapters, each described by one small file.

Knows nothing of the store or of names that are served.
"""
