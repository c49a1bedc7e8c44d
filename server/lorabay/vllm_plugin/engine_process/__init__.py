"""What the plugin changes in the engine's process: its end, and what one request costs others.

Knows nothing of adapters.
"""
