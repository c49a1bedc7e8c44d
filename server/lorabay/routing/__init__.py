"""Chooses the adapter whose domain a conversation is about, by its first question.

A router is trained offline from the adapters' own data. Knows nothing of HTTP, of keys or of which
adapters are served.
"""
