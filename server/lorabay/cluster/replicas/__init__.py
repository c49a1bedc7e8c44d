"""The two sides of an engine that runs elsewhere: the replica, and what stands for all replicas.

Knows the seam of the engine. It knows nothing of Ray, which only carries the messages.
"""
