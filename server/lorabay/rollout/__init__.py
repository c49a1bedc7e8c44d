"""Decides how a new version of an adapter takes over from the live one: whom it answers, for how
long, and when it has to go.

Pure: time, clients and figures come from outside. Knows nothing of registries, engines or HTTP.
"""
