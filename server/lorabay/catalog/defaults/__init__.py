"""What an adapter says about its own use: read from its folder, checked, and kept with a version.

Knows files and values, and nothing of the engine that follows them.
"""
