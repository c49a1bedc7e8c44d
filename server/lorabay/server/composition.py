"""Builds the parts of a server from its settings.

Nothing here is started. Knows the settings and the parts, and nothing of HTTP or of how a server
lives and ends.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorabay.catalog.admission import ALLOWED_RANKS, Checks
from lorabay.catalog.registry import Registry
from lorabay.errors import UsageError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.serving.events import EventLog
from lorabay.serving.machine_defaults import adapter_options, host_memory_bytes, server_options
from lorabay.serving.reconciler import Directory, Reconciler

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.metrics import Metrics
    from lorabay.settings import Settings


def build_reconciler(
    settings: Settings,
    store: Store,
    shapes: BaseShapes,
    metrics: Metrics,
    weights: BaseWeights | None = None,
) -> Reconciler:
    """Return a reconciler of the adapter directory, with the records of the last run taken up.

    `weights` are the base's if the engine can serve DoRA. Blocks; raises SetupError or UsageError.
    """
    records = store.records(records_key(settings.adapters, shapes))
    registry = Registry(shapes.names, records, keep=settings.keep_versions)
    max_rank = whole_number(settings.engine, "max_lora_rank", default=ALLOWED_RANKS[-1])

    def find(name: AdapterName, digest: Digest) -> Version | None:
        """Return a version of the last run; None if this run's engine could not serve it."""
        version = store.get(name, digest)
        if version is None or version.spec.rank > max_rank:
            return None

        # Without scaled outputs a DoRA version would answer without its factors.
        needs_scaling = (version.path / SCALES_FILE).exists()
        if needs_scaling and weights is None:
            return None
        return version

    registry.restore(find)
    checks = Checks(
        shapes,
        max_rank,
        refuse_foreign_base=settings.refuse_foreign_base,
        base_weights=weights,
        approximate_error=settings.approximate_error,
    )
    directory = Directory(
        settings.adapters, settings.allowed_roots, settings.settle_s, settings.poll_s
    )
    events = EventLog(settings.store / "events.jsonl")
    return Reconciler(directory, store, checks, registry, events, metrics)


def records_key(adapters: Path, shapes: BaseShapes) -> str:
    """Return the key of the records of one adapter directory over one base.

    Servers with the same key share their records.
    """
    facts = [str(adapters.resolve()), shapes.names[0], sorted(shapes.shapes.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def engine_options(settings: Settings, reconciler: Reconciler) -> dict[str, Any]:
    """Return vLLM's options: the user's, and else those that suit the machine and the adapters.

    Blocks. Raises UsageError for an option that should be a number and is not.
    """
    # Where `declared` has two versions of one adapter, the later one is the newer and stays.
    specs = {version.adapter: version.spec for version in reconciler.declared()}
    former = [version.spec for status in reconciler.registry.snapshot() for version in status.kept]
    chosen = adapter_options([*specs.values()], ALLOWED_RANKS, host_memory_bytes(), former=former)
    options = server_options(settings.grace_s) | chosen | settings.engine

    # A user who raises the slots alone means to have that many; vLLM refuses fewer places in memory
    # than slots.
    options["max_cpu_loras"] = max(
        whole_number(options, "max_cpu_loras"), whole_number(options, "max_loras") + 1
    )
    return options


def worker_count(options: Mapping[str, Any]) -> int:
    """Return the number of processes that vLLM spreads the model and its copies over."""
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return math.prod(whole_number(options, size, default=1) for size in sizes)


def whole_number(options: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """Return an engine option that takes a whole number; raises UsageError for any other value."""
    value = options.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(f"engine option {name!r} takes a whole number, not {value!r}") from None
