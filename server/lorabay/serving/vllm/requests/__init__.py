"""What requests ask, in vLLM's own types: read at a bounded cost, refused where vLLM would err.

Knows nothing of the engine's life, nor of whose request it is.
"""
