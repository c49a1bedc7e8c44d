"""Names and their versions: which one is live, who holds it, and what is remembered of the past.

Knows no folder and no engine.
"""
