"""Replicas on Ray Serve: how they are deployed, chosen and asked.

Only this package imports Ray, and only when a cluster is started.
"""
