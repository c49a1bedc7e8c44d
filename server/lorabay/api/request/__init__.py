"""The body of a request: read within bounds, and refused before it costs anybody else.

Knows JSON and the calls, and nothing of engines or adapters.
"""
