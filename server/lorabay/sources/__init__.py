"""Adapters from elsewhere: buckets, registries and hubs, each mirrored into folders.

Whoever follows folders needs to know nothing of where they came from. Knows nothing of engines, of
HTTP or of what the files of an adapter hold. Each library of a service is imported by the one
module that speaks to it, when a source of that kind is opened.
"""
