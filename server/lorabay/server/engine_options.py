"""vLLM's options of one server: the user's, and those that follow from adapters and machine.

Knows the settings and what was found in the adapter directory. Starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.files.host_memory import host_memory_bytes
from lorabay.server.adapted_modules import OPTION, usual_targets
from lorabay.server.room_log import Chosen, tell_room
from lorabay.server.slots import Slots
from lorabay.server.user_options import local_copies, local_worker_count, whole_number
from lorabay.serving.adapter_graphs import graph_options
from lorabay.serving.adapter_memory import largest_host_bytes
from lorabay.serving.compute_type import choose_compute_type, processor_features, slice_tokens
from lorabay.serving.machine_defaults import (
    adapter_options,
    cpu_options,
    engine_is_on_cpu,
    server_options,
    slot_count,
)
from lorabay.serving.room import USUAL_ROOM, rank_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import AdapterSpec, Version
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.serving.room import Room
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)


def engine_options(settings: Settings, reconciler: Reconciler) -> dict[str, Any]:
    """Return vLLM's options: the user's, and else those that suit the machine and the adapters.

    Blocks. Raises UsageError for an option that should be a number and is not.
    """
    # Where `declared` has two versions of one adapter, the later one is the newer and stays.
    declared = [version for version in reconciler.declared() if not version.is_model]
    versions = {version.adapter: version for version in declared}
    specs = {name: version.spec for name, version in versions.items()}

    on_cpu = engine_is_on_cpu()
    ingest = reconciler.ingest
    if on_cpu:
        # First of all: what adapters take of the memory follows from it.
        settings = _with_compute_type(settings, ingest.base_weights)
    else:
        # So does what a slot takes.
        kept = [version.spec for version in _kept(reconciler)]
        settings = _with_target_modules(settings, ingest.base, [*specs.values(), *kept])
    slots = Slots(settings, ingest.base, ingest.base_weights, on_cpu=on_cpu)
    room = slots.room(len(specs))

    # Each worker has a whole copy of every adapter.
    memory_bytes = host_memory_bytes() // local_worker_count(settings.engine)
    adapter_bytes = _adapter_bytes([*versions.values()], slots, pinned=not on_cpu)
    adapters = max(len(specs), room.adapters)
    rank = _rank(specs, reconciler, slots, room)

    options = server_options(settings.grace_s)
    options |= adapter_options(
        adapters,
        memory_bytes,
        slots=slots.count(adapters, rank),
        rank=rank,
        adapter_bytes=adapter_bytes,
    )
    if on_cpu:
        dtype = str(settings.engine.get("dtype", "auto"))
        base = ingest.base
        slices = slice_tokens(processor_features(), dtype, base.layer_parameters)
        options |= cpu_options(settings.engine, slices, base.context.length)
    if settings.media_domains:  # vLLM's parser takes no empty list; the engine takes none for none
        options["allowed_media_domains"] = list(settings.media_domains)
    options |= settings.engine

    # A user who raises the slots alone means to have that many; vLLM refuses fewer places in memory
    # than slots.
    places = whole_number(options, "max_cpu_loras")
    options["max_cpu_loras"] = max(places, whole_number(options, "max_loras") + 1)
    if not on_cpu:
        options |= graph_options(whole_number(options, "max_loras"), settings.engine)

    tell_room(Chosen(options, room, specs, memory_bytes, adapter_bytes), slots)
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
        copies=local_copies(options),
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


def _with_target_modules(
    settings: Settings, base: BaseShapes, specs: Sequence[AdapterSpec]
) -> Settings:
    """Return settings that say which modules the engine adapts; the user's win."""
    targets = usual_targets(base, specs)
    if targets is None or settings.engine.get(OPTION) is not None:
        return settings
    return settings.model_copy(update={"engine": {**settings.engine, OPTION: list(targets)}})


def _rank(
    specs: Mapping[AdapterName, AdapterSpec], reconciler: Reconciler, slots: Slots, room: Room
) -> int:
    """Return the rank that every slot takes."""
    former = [version.spec for version in _kept(reconciler)]
    count = slot_count(max(len(specs), room.adapters))
    return rank_limit(specs, former, ALLOWED_RANKS, room.rank, slots.outlier_rank(count))


def _adapter_bytes(versions: Sequence[Version], slots: Slots, *, pinned: bool) -> int:
    """Return what one adapter takes of the host's memory: the largest, or a usual one of none."""
    largest = largest_host_bytes(versions, slots.number_bytes, pinned=pinned)
    return largest or slots.cost(1, USUAL_ROOM.rank)


def _kept(reconciler: Reconciler) -> list[Version]:
    """Return the adapters' versions that can be asked for, live ones and former ones."""
    versions: list[Version] = []
    for status in reconciler.registry.snapshot():
        versions += [version for version in status.kept if not version.is_model]
    return versions


def has_rank_over(reconciler: Reconciler, limit: int) -> bool:
    """Return whether a version that is served, or may be, has a rank over the engine's; blocks."""
    versions = (*reconciler.declared(), *_kept(reconciler))
    return any(version.spec.rank > limit for version in versions)
