"""Merged, shared or both: what a number of domains costs each way, and which to choose.

Knows sizes and rates. Starts no engine and reads no weights.
"""
