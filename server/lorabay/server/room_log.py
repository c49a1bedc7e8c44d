"""Tells in the log what an engine has room for, what that costs, and what would change it.

One line for each thing that was chosen. Knows nothing of how it was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.catalog.admission import ALLOWED_RANKS, smallest_limit
from lorabay.server.user_options import target_modules, whole_number
from lorabay.serving.room import rank_setters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import AdapterSpec
    from lorabay.server.slots import Slots
    from lorabay.serving.room import Room

logger = structlog.get_logger(__name__)

SHOWN = 3
"""Names of adapters in a line, at most."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """vLLM's options of a server, and what they follow from.

    `memory_bytes` is the host's memory for each worker, `adapter_bytes` what an adapter takes of
    it, at most.
    """

    options: Mapping[str, Any]
    room: Room
    specs: Mapping[AdapterName, AdapterSpec]
    memory_bytes: int
    adapter_bytes: int

    @property
    def slots(self) -> int:
        """How many there are."""
        return whole_number(self.options, "max_loras")

    @property
    def rank(self) -> int:
        """What each slot takes."""
        return whole_number(self.options, "max_lora_rank")


def tell_room(chosen: Chosen, slots: Slots) -> None:
    """Log what was chosen for adapters."""
    _tell_slots(chosen, slots)
    _tell_rank(chosen)
    _tell_places(chosen)
    _tell_graphs(chosen)
    _tell_modules(chosen)

    _tell_refused(chosen, slots)
    if chosen.rank > chosen.room.rank and not slots.are_free:
        _tell_large_slots(chosen, slots)


def _tell_slots(chosen: Chosen, slots: Slots) -> None:
    each = 0 if slots.are_free else slots.cost(1, chosen.rank)
    logger.info(
        "slots" if chosen.specs else "no adapters yet, slots are for those to come",
        count=chosen.slots,
        rank=chosen.rank,
        each_bytes=each,
        cost_mib=chosen.slots * each >> 20,
        set_by="--expected-adapters and --expected-rank, or --engine max_loras and max_lora_rank",
    )


def _tell_rank(chosen: Chosen) -> None:
    """Log which adapters the rank is for."""
    limits = [rank for rank in ALLOWED_RANKS if rank < chosen.rank]
    below = limits[-1] if limits else 0
    needed_by = sorted(name for name, spec in chosen.specs.items() if spec.rank > below)
    more = len(needed_by) - SHOWN

    names = ", ".join(needed_by[:SHOWN]) + (f" and {more} more" if more > 0 else "")
    logger.info("adapter rank", limit=chosen.rank, needed_by=names or "adapters to come")


def _tell_places(chosen: Chosen) -> None:
    places = whole_number(chosen.options, "max_cpu_loras")
    logger.info(
        "adapters in memory",
        count=places,
        each_bytes=chosen.adapter_bytes,
        at_most_mib=places * chosen.adapter_bytes >> 20,
        of_mib=chosen.memory_bytes >> 20,
        set_by="--engine max_cpu_loras",
    )


def _tell_graphs(chosen: Chosen) -> None:
    """Log that a graph is captured for each number of adapters, if so."""
    if not chosen.options.get("specialize_active_lora"):
        return

    logger.info(
        "graphs by number of adapters",
        sizes=len(chosen.options.get("cudagraph_capture_sizes", ())) or "vLLM's own",
        set_by="--engine specialize_active_lora and cudagraph_capture_sizes",
    )


def _tell_modules(chosen: Chosen) -> None:
    """Log which modules adapters may change, if not all."""
    targets = target_modules(chosen.options)
    if targets is not None:
        logger.info(
            "modules that adapters may change",
            names=", ".join(targets),
            set_by="--engine lora_target_modules",
        )


def _tell_refused(chosen: Chosen, slots: Slots) -> None:
    """Warn of adapters whose rank no slot takes."""
    over = {name: spec.rank for name, spec in chosen.specs.items() if spec.rank > chosen.rank}
    if not over:
        return

    needed = smallest_limit(max(over.values())) or ALLOWED_RANKS[-1]
    more = slots.cost(chosen.slots, needed) - slots.cost(chosen.slots, chosen.rank)
    logger.warning(
        "adapters are refused that would make every slot larger",
        adapters=", ".join(sorted(over)),
        rank=needed,
        limit=chosen.rank,
        more_mib=more >> 20,
        advice=f"--outlier-rank {needed}, or lorabay convert --rank {chosen.rank}",
    )


def _tell_large_slots(chosen: Chosen, slots: Slots) -> None:
    """Warn of the few adapters, if they are few, for which every slot is large."""
    setters = rank_setters(chosen.specs, ALLOWED_RANKS, chosen.rank)
    if setters is None:
        return

    rest = max(setters.rest, chosen.room.rank)
    logger.warning(
        "slots are large for a few adapters only",
        adapters=", ".join(setters.adapters),
        rank=chosen.rank,
        cost_mib_without=slots.cost(chosen.slots, rest) >> 20,
        advice=f"lorabay convert --rank {rest}",
    )
