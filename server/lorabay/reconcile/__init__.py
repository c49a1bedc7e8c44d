"""Makes the served adapters follow the adapter directory, whatever happens to it.

Knows the catalogue, and nothing of requests or of what an engine is made of.
"""
