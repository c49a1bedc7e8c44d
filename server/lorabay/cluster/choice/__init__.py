"""The choice of a replica: pure functions of adapters, replicas and loads, and what they remember.

Routers and the simulator share them. Nothing here waits, sends or reads a clock.
"""
