"""vLLM's options of one server: the user's, and those that follow from adapters and machine.

Knows the settings and what was found in the adapter directory. Starts nothing; tells in the log
what the engine has room for, what that costs, and what would change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.catalog.admission import ALLOWED_RANKS, smallest_limit
from lorabay.errors import UsageError
from lorabay.serving.adapter_memory import largest_host_bytes, number_bytes, slot_cost
from lorabay.serving.compute_type import choose_compute_type, processor_features
from lorabay.serving.host_memory import host_memory_bytes
from lorabay.serving.machine_defaults import (
    adapter_options,
    cpu_options,
    device_memory_bytes,
    engine_is_on_cpu,
    server_options,
    slot_count,
)
from lorabay.serving.room import (
    USUAL_ROOM,
    Room,
    affordable_rank,
    affordable_room,
    rank_limit,
    rank_setters,
)

if TYPE_CHECKING:
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import AdapterSpec
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)

VLLM_MEMORY_SHARE = 0.92
"""Share of a device's memory that vLLM takes unless it is told otherwise."""


def engine_options(settings: Settings, reconciler: Reconciler) -> dict[str, Any]:
    """Return vLLM's options: the user's, and else those that suit the machine and the adapters.

    Blocks. Raises UsageError for an option that should be a number and is not.
    """
    # Where `declared` has two versions of one adapter, the later one is the newer and stays.
    versions = {version.adapter: version for version in reconciler.declared()}
    specs = {name: version.spec for name, version in versions.items()}
    former = [version.spec for status in reconciler.registry.snapshot() for version in status.kept]

    on_cpu = engine_is_on_cpu()
    if on_cpu:
        # First of all: what adapters take of the memory follows from it.
        settings = _with_compute_type(settings, reconciler.ingest.base_weights)
    slots = _Slots(settings, reconciler, on_cpu=on_cpu)
    room = slots.room(len(specs))
    bound = slots.outlier_rank(slot_count(max(len(specs), room.adapters)))
    rank = rank_limit(specs, former, ALLOWED_RANKS, room.rank, bound)
    chosen = adapter_options(
        len(specs),
        # Each worker has a whole copy of every adapter.
        host_memory_bytes() // local_worker_count(settings.engine),
        expected=room.adapters,
        rank=rank,
        adapter_bytes=largest_host_bytes(
            [*versions.values()], slots.number_bytes, pinned=not on_cpu
        )
        or slots.cost(1, USUAL_ROOM.rank),
    )
    options = server_options(settings.grace_s) | chosen
    if on_cpu:
        options |= cpu_options(settings.engine)
    if settings.media_domains:  # vLLM's parser takes no empty list; the engine takes none for none
        options["allowed_media_domains"] = list(settings.media_domains)
    options |= settings.engine

    # A user who raises the slots alone means to have that many; vLLM refuses fewer places in memory
    # than slots.
    options["max_cpu_loras"] = max(
        whole_number(options, "max_cpu_loras"), whole_number(options, "max_loras") + 1
    )
    _tell_room(options, slots, room, specs)
    return options


def _with_compute_type(settings: Settings, weights: BaseWeights | None) -> Settings:
    """Return settings that say in which type the engine computes, and log why; the user's wins."""
    options = settings.engine
    if options.get("dtype", "auto") != "auto" or options.get("quantization") or weights is None:
        return settings

    chosen = choose_compute_type(
        processor_features(),
        weights.tensors.values(),
        host_memory_bytes(),
        copies=_local_copies(options),
    )
    logger.info(
        "compute type",
        dtype=chosen.name or "vLLM's choice",
        because=chosen.reason,
        set_by="--engine dtype",
    )
    if chosen.name is None:
        return settings
    return settings.model_copy(update={"engine": {**options, "dtype": chosen.name}})


class _Slots:
    """What slots of one server's engine cost, and how many it should have."""

    def __init__(self, settings: Settings, reconciler: Reconciler, *, on_cpu: bool) -> None:
        self._settings = settings
        self._base = reconciler.ingest.base
        self._weights = reconciler.ingest.base_weights
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
        """Return the room for adapters: what the settings ask for, else what costs little."""
        settings = self._settings
        usual = replace(USUAL_ROOM, rank=ALLOWED_RANKS[-1])
        if not self.are_free:
            usual = affordable_room(partial(self._room_cost, found), self._free_bytes)
        return Room(
            settings.expected_adapters or usual.adapters, settings.expected_rank or usual.rank
        )

    def outlier_rank(self, count: int) -> int:
        """Return the rank up to which a few adapters may make all of `count` slots larger."""
        if self._settings.outlier_rank is not None:
            return self._settings.outlier_rank
        if self.are_free:
            return ALLOWED_RANKS[-1]
        return affordable_rank(partial(self.cost, count), self._free_bytes, ALLOWED_RANKS)

    def _room_cost(self, found: int, room: Room) -> int:
        return self.cost(slot_count(max(found, room.adapters)), room.rank)

    @property
    def _free_bytes(self) -> int | None:
        """The memory of all devices beside the base's weights; None if it is not known."""
        memory = host_memory_bytes() if self._on_cpu else device_memory_bytes()
        if memory is None or self._weights is None:
            return None

        options = self._settings.engine
        share = 1.0 if self._on_cpu else _share(options)
        # Each copy of the model has devices, and slots, of its own.
        devices = 1 if self._on_cpu else worker_count({**options, "data_parallel_size": 1})
        return int(memory * share) * devices - self._weights.size_bytes


def _tell_room(
    options: Mapping[str, Any],
    slots: _Slots,
    room: Room,
    specs: Mapping[AdapterName, AdapterSpec],
) -> None:
    """Log what the engine has room for, what that costs, and which adapters decide the rank."""
    count, rank = whole_number(options, "max_loras"), whole_number(options, "max_lora_rank")
    cost_mib = 0 if slots.are_free else slots.cost(count, rank) >> 20
    logger.info(
        "slots" if specs else "no adapters yet, slots are for those to come",
        count=count,
        rank=rank,
        cost_mib=cost_mib,
        set_by="--expected-adapters and --expected-rank, or --engine max_loras and max_lora_rank",
    )

    over = [name for name, spec in specs.items() if spec.rank > rank]
    if over:
        needed = smallest_limit(max(specs[name].rank for name in over)) or ALLOWED_RANKS[-1]
        logger.warning(
            "adapters are refused that would make every slot larger",
            adapters=", ".join(sorted(over)),
            rank=needed,
            limit=rank,
            more_mib=(slots.cost(count, needed) - slots.cost(count, rank)) >> 20,
            advice=f"--outlier-rank {needed}, or lorabay convert --rank {rank}",
        )

    setters = rank_setters(specs, ALLOWED_RANKS, rank)
    if setters is not None and rank > room.rank and not slots.are_free:
        rest = max(setters.rest, room.rank)
        logger.warning(
            "slots are large for a few adapters only",
            adapters=", ".join(setters.adapters),
            rank=rank,
            cost_mib_without=slots.cost(count, rest) >> 20,
            advice=f"lorabay convert --rank {rest}",
        )


def _share(options: Mapping[str, Any]) -> float:
    """Return the share of a device's memory that vLLM takes."""
    try:
        return float(options["gpu_memory_utilization"])
    except (KeyError, TypeError, ValueError):
        return VLLM_MEMORY_SHARE  # vLLM itself refuses what is no number


def has_rank_over(reconciler: Reconciler, limit: int) -> bool:
    """Return whether a version that is served, or may be, has a rank over the engine's; blocks."""
    statuses = reconciler.registry.snapshot()
    kept = [version for status in statuses for version in status.kept]
    return any(version.spec.rank > limit for version in (*reconciler.declared(), *kept))


def target_modules(options: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the modules that the engine adapts, as `lora_target_modules` names them; None if all.

    Raises UsageError unless they are names.
    """
    value = options.get("lora_target_modules")
    if value is None:
        return None

    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"engine option 'lora_target_modules' takes a list of module names, not {value!r}"
        )
    return tuple(names)


def worker_count(options: Mapping[str, Any]) -> int:
    """Return the number of processes that vLLM spreads the model and its copies over.

    Raises UsageError for a size that is no number, or under 1.
    """
    workers = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        size = whole_number(options, name, default=1)
        if size < 1:
            raise UsageError(f"engine option {name!r} is at least 1, not {size}")
        workers *= size

    return workers


def local_worker_count(options: Mapping[str, Any]) -> int:
    """Return the number of vLLM's processes on this machine, at most."""
    return worker_count({**options, "data_parallel_size": _local_copies(options)})


def _local_copies(options: Mapping[str, Any]) -> int:
    """Return the number of whole models on this machine, at most."""
    name = (
        "data_parallel_size_local"
        if options.get("data_parallel_size_local")
        else "data_parallel_size"
    )
    return whole_number(options, name, default=1)


def whole_number(options: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """Return an engine option that takes a whole number; raises UsageError for any other value."""
    value = options.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(f"engine option {name!r} takes a whole number, not {value!r}") from None
