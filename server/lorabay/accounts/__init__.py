"""Who may use what, how much, and what it cost: keys, limits, usage, and the database behind them.

Knows nothing of HTTP, of vLLM or of adapter folders. The libraries of databases are imported by
`accounts.database` and by the modules that state tables and statements, which only a server or a
command that uses accounts imports.
"""
