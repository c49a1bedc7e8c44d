"""An engine that comes back, and the search for what ended it.

Knows requests and versions, and nothing of folders, of HTTP or of what an engine is made of.
"""
