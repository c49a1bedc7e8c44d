"""The room that an engine gets for adapters that come after its start, and for large ones.

An engine's slots are fixed when it starts: how many there are, and the rank that each takes. So
there is room for more adapters than were found, and for higher ranks, as far as that costs little.
A few adapters of a high rank do not make every slot large. Knows nothing of settings or of vLLM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.serving.machine_defaults import SMALLEST_RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import AdapterSpec

SHARE_OF_FREE_MEMORY = 0.1
"""Share of the memory beside the base that slots may take for adapters that are not there yet."""


@dataclass(frozen=True, slots=True)
class Room:
    """What an engine is ready for: so many adapters, each of at most this rank."""

    adapters: int
    rank: int


NO_ROOM = Room(1, SMALLEST_RANK)
"""For hosts without memory to spare: a slot for one adapter, and vLLM's own rank."""

USUAL_ROOM = Room(4, 64)
"""What trainers send: ranks of 8 to 64; four adapters take turns only when a fifth comes."""


@dataclass(frozen=True, slots=True)
class RankSetters:
    """The few adapters for which every slot is larger than the rest need it, and by how much."""

    adapters: tuple[AdapterName, ...]
    rest: int
    """The rank limit that all others fit."""


def affordable_room(cost: Callable[[Room], int], free_bytes: int | None) -> Room:
    """Return the most room, up to the usual one, whose slots take little of the free memory.

    `cost` returns what the slots take in bytes. Where the free memory is not known, no room is
    made.
    """
    if free_bytes is None:
        return NO_ROOM

    ranks = (USUAL_ROOM.rank, USUAL_ROOM.rank // 2, NO_ROOM.rank)
    rooms = [replace(USUAL_ROOM, rank=rank) for rank in ranks]
    fitting = (room for room in rooms if cost(room) <= SHARE_OF_FREE_MEMORY * free_bytes)
    return next(fitting, NO_ROOM)


def affordable_rank(
    cost: Callable[[int], int], free_bytes: int | None, allowed_ranks: Iterable[int]
) -> int:
    """Return the largest rank whose slots take little of the free memory, at least the usual one.

    `cost` returns what the slots take at a rank, in bytes.
    """
    free = free_bytes or 0
    fitting = [rank for rank in allowed_ranks if cost(rank) <= SHARE_OF_FREE_MEMORY * free]
    return max([USUAL_ROOM.rank, *fitting])


def rank_limit(
    specs: Mapping[AdapterName, AdapterSpec],
    former: Sequence[AdapterSpec],
    allowed_ranks: Iterable[int],
    smallest: int,
    outlier_rank: int,
) -> int:
    """Return the rank that every slot takes: the smallest allowed one that fits all adapters.

    It is at least `smallest`. Beyond `outlier_rank`, a few adapters do not decide it, nor do
    `former` versions: those that do not fit are refused.
    """
    allowed = sorted(allowed_ranks)
    live = _fitting([smallest, *(spec.rank for spec in specs.values())], allowed)
    everything = _fitting([live, *(spec.rank for spec in former)], allowed)
    if everything <= outlier_rank:
        return everything

    setters = rank_setters(specs, allowed, live)
    if setters is None or live <= outlier_rank:
        # Only former versions are beyond the bound.
        within = [spec.rank for spec in former if spec.rank <= outlier_rank]
        return _fitting([live, *within], allowed)

    rest = [spec.rank for spec in (*specs.values(), *former) if spec.rank <= outlier_rank]
    return _fitting([smallest, setters.rest, *rest], allowed)


def rank_setters(
    specs: Mapping[AdapterName, AdapterSpec], allowed_ranks: Iterable[int], rank: int
) -> RankSetters | None:
    """Return the adapters that alone need slots of `rank`; None if others need them too.

    They are few: at most a tenth of all, or one of several.
    """
    lower = [allowed for allowed in sorted(allowed_ranks) if SMALLEST_RANK <= allowed < rank]
    if not lower:
        return None

    setters = [name for name, spec in specs.items() if spec.rank > lower[-1]]
    others = [spec.rank for spec in specs.values() if spec.rank <= lower[-1]]
    if not setters or not others or len(setters) > max(1, len(specs) // 10):
        return None

    rest = next(allowed for allowed in lower if allowed >= max(others))
    return RankSetters(tuple(sorted(setters)), rest)


def _fitting(ranks: Iterable[int], allowed: Sequence[int]) -> int:
    """Return the smallest allowed rank that none of `ranks` is over; else the largest."""
    largest = max(ranks)
    return next((rank for rank in allowed if rank >= largest), allowed[-1])
