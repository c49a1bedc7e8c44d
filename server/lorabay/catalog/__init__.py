"""Adapters as files and numbers: checking, canonical form, storing, naming. Knows no engine and no
HTTP.
"""
