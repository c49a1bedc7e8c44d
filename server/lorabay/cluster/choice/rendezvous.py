"""Rendezvous hashing: every key has an order of its own over the replicas.

A replica that joins takes only the keys that now come first at it, and one that leaves gives away
only its own. No table is kept, so routers that have never met agree.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NewType

ReplicaId = NewType("ReplicaId", str)
"""The name of one replica, unique in its cluster, the same at every router."""

_REMEMBERED = 16_384
"""Orders that are kept: those of as many adapters as a large cluster uses in an hour."""


@lru_cache(maxsize=_REMEMBERED)
def ranked(key: str, replicas: tuple[ReplicaId, ...]) -> tuple[ReplicaId, ...]:
    """Return all replicas in the order of a key, the one that comes first for it at the front."""
    return tuple(sorted(replicas, key=lambda replica: weight(key, replica), reverse=True))


def weight(key: str, replica: ReplicaId) -> bytes:
    """Return how much a replica suits a key: bytes that compare like numbers."""
    return blake2b(f"{key}\0{replica}".encode(), digest_size=8).digest()
