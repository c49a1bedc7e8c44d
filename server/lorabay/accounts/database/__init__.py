"""The database of the accounts: its address, its schema, and the thread that writes to it.

Knows nothing of what the tables hold. Each part of the accounts declares its own tables in the one
`METADATA` and brings its migration.
"""
