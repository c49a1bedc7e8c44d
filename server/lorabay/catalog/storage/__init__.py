"""The folders of the store: versions, work under way, records, and what each server holds.

Knows nothing of locks: the store calls these parts under its own.
"""
