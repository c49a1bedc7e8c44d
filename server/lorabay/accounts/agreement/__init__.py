"""What the servers of one cluster agree on, in their database: who keeps the names, and what each
name means.

Statements only. Who is alive, and what follows from it, is for the servers to judge.
"""
