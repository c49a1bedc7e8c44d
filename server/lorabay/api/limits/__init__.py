"""Limits of one request: what it may ask for, so that nobody pays for what another one asks.

Knows parsed bodies and settings, and nothing of the engine.
"""
