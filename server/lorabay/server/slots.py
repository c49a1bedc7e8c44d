"""The slots of one server's engine: what they cost, and how many of which rank there should be.

Knows the settings, the base and the machine. Knows nothing of which adapters were found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.files.host_memory import host_memory_bytes
from lorabay.server.user_options import memory_share, target_modules, worker_count
from lorabay.serving.adapter_memory import number_bytes, slot_cost
from lorabay.serving.machine_defaults import (
    MANY_ADAPTERS,
    MANY_SLOTS,
    device_memory_bytes,
    slot_count,
)
from lorabay.serving.room import USUAL_ROOM, Room, affordable_rank, affordable_room

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.settings import Settings


MANY_SHARE = 0.04
"""Share of the devices' memory up to which there are more slots for many adapters."""


class Slots:
    """The slots of an engine over one base; `on_cpu` says that it computes on processors.

    `weights` are the base's; without them it is not known how much memory is free. Raises
    UsageError for modules that are no names.
    """

    def __init__(
        self, settings: Settings, base: BaseShapes, weights: BaseWeights | None, *, on_cpu: bool
    ) -> None:
        self._settings = settings
        self._base = base
        self._weights = weights
        self._on_cpu = on_cpu
        self._targets = target_modules(settings.engine)
        self.number_bytes = number_bytes(settings.engine)

    @property
    def are_free(self) -> bool:
        """Whether a slot is only a reference, as on a CPU; not so for experts and shards."""
        has_experts = any(".experts" in name for name in self._base.tensors)
        is_sharded = bool(self._settings.engine.get("fully_sharded_loras"))
        return self._on_cpu and not has_experts and not is_sharded

    def cost(self, slots: int, rank: int) -> int:
        """Return what `slots` of `rank` take of the devices, in bytes."""
        return slot_cost(self._base, slots, rank, self.number_bytes, self._targets).total_bytes

    def room(self, found: int) -> Room:
        """Return the room for adapters: what the settings ask for, else what costs little.

        `found` is the number of adapters that are there already.
        """
        if self.are_free:
            usual = replace(USUAL_ROOM, rank=ALLOWED_RANKS[-1])
        else:
            usual = affordable_room(partial(self._cost_of_room, found), self._free_bytes())

        adapters = self._settings.expected_adapters or usual.adapters
        rank = self._settings.expected_rank or usual.rank
        return Room(adapters, rank)

    def count(self, adapters: int, rank: int) -> int:
        """Return how many slots of `rank` there should be for so many adapters."""
        usual = slot_count(adapters)
        device = self._device_bytes()
        if adapters <= MANY_ADAPTERS or rank > USUAL_ROOM.rank or device is None:
            return usual

        many = slot_count(adapters, at_most=MANY_SLOTS)
        return many if self.cost(many, rank) <= MANY_SHARE * device else usual

    def outlier_rank(self, count: int) -> int:
        """Return the rank up to which a few adapters may make all of `count` slots larger."""
        if self._settings.outlier_rank is not None:
            return self._settings.outlier_rank
        if self.are_free:
            return ALLOWED_RANKS[-1]
        return affordable_rank(partial(self.cost, count), self._free_bytes(), ALLOWED_RANKS)

    def _cost_of_room(self, found: int, room: Room) -> int:
        slots = slot_count(max(found, room.adapters))
        return self.cost(slots, room.rank)

    def _free_bytes(self) -> int | None:
        """Return the memory of all devices beside the base's weights; None if it is not known."""
        if self._weights is None:
            return None
        if self._on_cpu:
            return host_memory_bytes() - self._weights.size_bytes

        device = self._device_bytes()
        if device is None:
            return None
        share = memory_share(self._settings.engine)
        return int(device * share) - self._weights.size_bytes

    def _device_bytes(self) -> int | None:
        """Return the memory of all GPUs of one copy of the model; None if it is not known."""
        device = None if self._on_cpu else device_memory_bytes()
        if device is None:
            return None

        # Each copy of the model has devices, and slots, of its own.
        return device * worker_count({**self._settings.engine, "data_parallel_size": 1})
