"""The prompt that becomes of a conversation, with what its adapter prefers.

Knows nothing of HTTP.
"""
