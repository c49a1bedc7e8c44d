"""Builds the parts of a server from its settings.

Nothing here is started. Knows the settings and the parts, and nothing of HTTP or of how a server
lives and ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.api.request.limits import RequestLimits
from lorabay.catalog.admission import ALLOWED_RANKS, Checks
from lorabay.catalog.record_keeper import RecordKeeper
from lorabay.catalog.registry import Registry
from lorabay.catalog.versions import Withheld
from lorabay.errors import UsageError
from lorabay.reconcile.events import EventLog
from lorabay.reconcile.reconciler import Directory, Reconciler
from lorabay.serving.adapter_memory import (
    largest_host_bytes,
    number_bytes,
    rank_setters,
    slot_cost,
)
from lorabay.serving.grammars import GrammarLimits
from lorabay.serving.host_memory import host_memory_bytes
from lorabay.serving.machine_defaults import adapter_options, engine_is_on_cpu, server_options

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import AdapterSpec, Digest, Version
    from lorabay.metrics import Metrics
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)


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
    records = RecordKeeper(store.records(records_key(settings.adapters, shapes)))
    registry = Registry(
        shapes.names,
        records,
        keep=settings.keep_versions,
        removed_keep_s=settings.removed_keep_s,
    )
    max_rank = whole_number(settings.engine, "max_lora_rank", default=ALLOWED_RANKS[-1])
    targets = target_modules(settings.engine)
    if settings.dora and weights is None:
        logger.warning("DoRA is not served: the engine's options keep it from scaling outputs")
    checks = Checks(
        shapes,
        max_rank,
        refuse_foreign_base=settings.refuse_foreign_base,
        base_weights=weights,
        approximate_error=settings.approximate_error,
        target_modules=targets,
    )
    registry.restore(partial(find_version, store, checks))

    directory = Directory(
        settings.adapters,
        settings.allowed_roots,
        settings.settle_s,
        settings.poll_s,
        settings.empty_root_s,
    )
    events = EventLog(settings.store / "events.jsonl")
    return Reconciler(directory, store, checks, registry, events, metrics)


def find_version(
    store: Store, checks: Checks, name: AdapterName, digest: Digest
) -> Version | Withheld | None:
    """Return a version of the last run, or why this run does not offer it.

    None if it is certainly not in the store. Blocks; raises SetupError if the disk does not say.
    """
    version = store.get(name, digest)
    if version is not None:
        reason = _reason_to_withhold(version, store, checks)
        return version if reason is None else Withheld(reason)

    if store.has(digest):
        return Withheld("its files are damaged, or written by a newer lorabay")
    return None


def _reason_to_withhold(version: Version, store: Store, checks: Checks) -> str | None:
    """Return what keeps this run's engine or base from answering rightly with a version, if so."""
    spec = version.spec
    if spec.rank > checks.max_rank:
        return f"its rank {spec.rank} is over the engine's max_lora_rank {checks.max_rank}"
    if spec.approximate is not None and spec.approximate > checks.approximate_error:
        allowed = checks.approximate_error
        return f"it lacks {spec.approximate:.2%} of its adapter; --approximate-error is {allowed}"

    targets = checks.target_modules
    if targets is not None and not set(spec.modules) <= set(targets):
        return "it changes modules that the engine does not adapt in this run"

    bases = store.bases(version.digest)
    return None if bases is None else _reason_against_scales(bases, checks)


def _reason_against_scales(bases: tuple[str, ...], checks: Checks) -> str | None:
    """Return why a version's output scales, which are right for `bases`, are wrong in this run."""
    # Without scaled outputs a DoRA version would answer without its factors.
    if checks.base_weights is None:
        return "it scales outputs (DoRA), which the engine does not do in this run"
    if checks.base_weights.identity not in bases:
        return "its output scales (DoRA) were computed from other weights than this base's"
    return None


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
    versions = {version.adapter: version for version in reconciler.declared()}
    specs = {name: version.spec for name, version in versions.items()}
    former = [version.spec for status in reconciler.registry.snapshot() for version in status.kept]

    on_cpu = engine_is_on_cpu()
    chosen = adapter_options(
        [*specs.values()],
        ALLOWED_RANKS,
        # Each worker has a whole copy of every adapter.
        host_memory_bytes() // local_worker_count(settings.engine),
        adapter_bytes=largest_host_bytes(
            [*versions.values()], number_bytes(settings.engine), pinned=not on_cpu
        ),
        former=former,
    )
    options = server_options(settings.grace_s) | chosen
    if settings.media_domains:  # vLLM's parser takes no empty list; the engine takes none for none
        options["allowed_media_domains"] = list(settings.media_domains)
    options |= settings.engine

    # A user who raises the slots alone means to have that many; vLLM refuses fewer places in memory
    # than slots.
    options["max_cpu_loras"] = max(
        whole_number(options, "max_cpu_loras"), whole_number(options, "max_loras") + 1
    )
    if not on_cpu:  # there a slot is only a reference
        _tell_slot_cost(options, reconciler.ingest.base, specs)
    return options


def _tell_slot_cost(
    options: Mapping[str, Any], base: BaseShapes, specs: Mapping[AdapterName, AdapterSpec]
) -> None:
    """Log what the slots take of the GPU, and which adapter alone makes them large."""
    slots, rank = whole_number(options, "max_loras"), whole_number(options, "max_lora_rank")
    number, targets = number_bytes(options), target_modules(options)
    cost = slot_cost(base, slots, rank, number, targets)
    logger.info("slots", count=slots, rank=rank, gpu_mb=cost.total_bytes // 10**6)

    setters = rank_setters(specs, ALLOWED_RANKS, rank)
    if setters is not None:
        without = slot_cost(base, slots, setters.rest, number, targets)
        logger.warning(
            "slots are large for a few adapters only",
            adapters=", ".join(setters.adapters),
            rank=rank,
            gpu_mb_without=without.total_bytes // 10**6,
            advice=f"lorabay convert --rank {setters.rest}",
        )


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


def request_limits(settings: Settings) -> RequestLimits:
    """Return what one request may ask for: each limit is the setting of its name."""
    return RequestLimits(
        **{limit.name: getattr(settings, limit.name) for limit in fields(RequestLimits)}
    )


def grammar_limits(settings: Settings) -> GrammarLimits:
    """Return what one structured output may take."""
    return GrammarLimits(
        compile_s=settings.grammar_compile_s,
        token_s=settings.grammar_token_s,
        memory_mib=settings.grammar_memory_mib,
    )


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
    copies = options.get("data_parallel_size_local") or options.get("data_parallel_size", 1)
    return worker_count({**options, "data_parallel_size": copies})


def whole_number(options: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """Return an engine option that takes a whole number; raises UsageError for any other value."""
    value = options.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(f"engine option {name!r} takes a whole number, not {value!r}") from None
