"""Several replicas as one engine: which of them answers a request, and how it gets there.

Knows digests, replicas, loads and the engine's seam. It knows nothing of HTTP, keys and folders.
"""
