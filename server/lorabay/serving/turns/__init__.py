"""Turns in the engine: who of those that wait goes next, and with which adapters it computes.

Knows flows, costs and weights, and nothing of HTTP, of keys or of what an engine is made of.
"""
