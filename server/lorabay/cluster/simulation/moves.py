"""Which adapters move when a replica joins or leaves."""

from __future__ import annotations

from collections.abc import Sequence

from lorabay.cluster.choice.rendezvous import ReplicaId, ranked


def moved(keys: Sequence[str], before: int, after: int) -> float:
    """Return the part of the adapters whose first replica is another one than before."""
    old, new = _names(before), _names(after)
    moves = sum(ranked(key, old)[0] != ranked(key, new)[0] for key in keys)
    return moves / len(keys)


def _names(count: int) -> tuple[ReplicaId, ...]:
    return tuple(ReplicaId(f"replica-{number}") for number in range(count))
