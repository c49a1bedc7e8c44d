"""The audit: who did what to keys, limits and adapters, in rows that are chained by their hashes.

A change of the database writes its row in its own transaction. Knows nothing of HTTP, and of what
adapters are.
"""
