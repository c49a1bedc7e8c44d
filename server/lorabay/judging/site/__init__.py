"""The page on which people judge: its HTTP, its files, and the process that serves them.

Reads pairs, sheets and votes; nothing here knows who gave an answer.
"""
