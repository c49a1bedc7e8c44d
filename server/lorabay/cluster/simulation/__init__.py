"""A cluster as arithmetic: traces of requests, replicas with slots, and ways to choose among them.

Knows rates and times. It starts nothing, and tells nothing about the speed of a real engine.
"""
