"""Folders on their way into the store: read a few at a time, or known from before.

Knows nothing of names that are live, or of what becomes of a version.
"""
