"""Files: bytes that are not trusted, the numbers in them, and writes that survive a kill.

Knows nothing of models, or of what the bytes mean.
"""
