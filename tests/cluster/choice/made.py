"""Replicas and what a router sees of them, made for tests."""

from __future__ import annotations

from collections.abc import Mapping, Set as AbstractSet
from hashlib import sha256

from lorabay.cluster.choice.choice import View
from lorabay.cluster.choice.rendezvous import ReplicaId


def replicas(count: int) -> tuple[ReplicaId, ...]:
    return tuple(ReplicaId(f"replica-{number}") for number in range(count))


def digests(count: int) -> list[str]:
    return [sha256(f"adapter {number}".encode()).hexdigest() for number in range(count)]


def view(
    loads: Mapping[ReplicaId, int],
    holders: Mapping[str, AbstractSet[ReplicaId]] | None = None,
    running: Mapping[str, int] | None = None,
    slots: int = 32,
    window: int = 64,
    room: Mapping[ReplicaId, int] | None = None,
    in_use: Mapping[ReplicaId, AbstractSet[str]] | None = None,
) -> View:
    """A view of the replicas that have a load; they have no room for further adapters."""
    free = room or dict.fromkeys(loads, 0)
    return View(
        tuple(loads), loads, holders or {}, free, running or {}, slots, window, in_use or {}
    )
