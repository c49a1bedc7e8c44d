"""Builds the parts of a server from its settings.

Nothing here is started. Knows the settings and the parts, and nothing of HTTP or of how a server
lives and ends.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from lorabay.api.limits.request_limits import RequestLimits
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog.adapted import NotAsked
from lorabay.catalog.admission import (
    ALLOWED_RANKS,
    Checks,
    may_be_unadapted,
    rank_over_limit,
    unadapted,
)
from lorabay.catalog.canonical import EXPERTS, stored_modules
from lorabay.catalog.registry.followed_records import FollowedRecords
from lorabay.catalog.registry.record_keeper import RecordKeeper
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.versions import Withheld
from lorabay.catalog.whole_model import MODELS_OFF
from lorabay.reconcile.events import EventLog
from lorabay.reconcile.reconciler import Reconciler
from lorabay.server.sources import directory_of
from lorabay.server.user_options import target_modules, whole_number
from lorabay.serving.grammars import GrammarLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.adapted import Adapted
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.registry.adapter_table import Memory
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Digest, Version
    from lorabay.catalog.whole_model import ModelChecks
    from lorabay.metrics import Metrics
    from lorabay.settings import Settings

logger = structlog.get_logger(__name__)


def build_reconciler(
    settings: Settings,
    store: Store,
    shapes: BaseShapes,
    metrics: Metrics,
    weights: BaseWeights | None = None,
    *,
    adapted: Adapted | NotAsked | None = None,
    scales_outputs: bool = True,
    adapts_experts: bool = False,
    rank_limit: int | None = None,
    tokenizer: BaseTokenizer | None = None,
    models: ModelChecks | None = None,
    keeps_names: Callable[[], bool] | None = None,
) -> Reconciler:
    """Return a reconciler of the adapter directory, with the records of the last run taken up.

    `weights` are the base's; without them, or if the engine does not scale outputs, there is no
    DoRA. `adapted` is what the engine says of the base's modules, and `adapts_experts` whether it
    adapts the experts of a mixture. `rank_limit` is the engine's, once that is known. `tokenizer`
    is the base's. `models` are what whole models are held against. `keeps_names` says when this
    server writes the records, if others share its names. Blocks; raises SetupError or UsageError.
    """
    directory = directory_of(settings)
    records: Memory = RecordKeeper(store.records(records_key(directory.root, shapes)))
    if keeps_names is not None:
        records = FollowedRecords(records, keeps_names)
    registry = Registry(
        shapes.names,
        records,
        keep=settings.keep_versions,
        removed_keep_s=settings.removed_keep_s,
    )
    max_rank = whole_number(settings.engine, "max_lora_rank", default=ALLOWED_RANKS[-1])
    targets = target_modules(settings.engine)
    if isinstance(adapted, NotAsked):
        logger.warning("the engine was not asked which modules it adapts", reason=adapted.why)
        adapted = None
    checks = Checks(
        shapes,
        max_rank,
        refuse_foreign_base=settings.refuse_foreign_base,
        base_weights=weights,
        scales_outputs=scales_outputs,
        approximate_error=settings.approximate_error,
        target_modules=targets,
        adapted=adapted,
        tokenizer=tokenizer or BaseTokenizer(),
        adapts_experts=adapts_experts,
        models=models,
        float16=_computes_in_float16(settings, weights),
    )
    if settings.dora and checks.dora_weights is None:
        logger.warning("DoRA is not served: the engine's options keep it from scaling outputs")
    limited = checks if rank_limit is None else replace(checks, max_rank=rank_limit)
    registry.last_run.restore(partial(find_versions, store, limited))

    events = EventLog(settings.store / "events.jsonl")
    reconciler = Reconciler(directory, store, checks, registry, events, metrics)
    # After it was built: a folder is the same folder under another limit (see `Ingest`).
    reconciler.ingest.limit_rank(limited.max_rank)
    return reconciler


def _computes_in_float16(settings: Settings, weights: BaseWeights | None) -> bool:
    """Return whether the engine computes in float16; left to itself, it takes the base's type."""
    dtype = settings.engine.get("dtype", "auto")
    if dtype != "auto" or weights is None:
        return dtype in ("half", "float16")
    types = {tensor.dtype for tensor in weights.tensors.values()}
    return "F16" in types and types.isdisjoint({"BF16", "F32"})


def find_versions(
    store: Store, checks: Checks, wanted: Sequence[tuple[AdapterName, Digest]]
) -> list[Version | Withheld | None]:
    """Return versions of the last run, or why this run does not offer them.

    None for one that is certainly not in the store. Blocks; raises SetupError if the disk does not
    say.
    """
    versions = store.get_all(wanted)
    found: list[Version | Withheld | None] = []
    for (_, digest), version in zip(wanted, versions, strict=True):
        if version is not None:
            reason = _reason_to_withhold(version, store, checks)
            found.append(version if reason is None else Withheld(reason))
        elif store.has(digest):
            found.append(Withheld("its files are damaged, or written by a newer lorabay"))
        else:
            found.append(None)
    return found


def _reason_to_withhold(version: Version, store: Store, checks: Checks) -> str | None:
    """Return what keeps this run's engine or base from answering rightly with a version, if so."""
    spec = version.spec
    if spec.is_model:
        return MODELS_OFF.text if checks.models is None else None
    if spec.rank > checks.max_rank:
        return rank_over_limit(spec.rank, checks.max_rank).text
    if spec.approximate is not None and spec.approximate > checks.approximate_error:
        allowed = checks.approximate_error
        return f"it lacks {spec.approximate:.2%} of its adapter; --approximate-error is {allowed}"

    if may_be_unadapted(spec.modules, checks):
        changed = stored_modules(version.path, checks.limits) or spec.modules
        if unadapted(changed, checks):
            return "it changes modules that the engine does not adapt in this run"
    if EXPERTS in spec.modules and not checks.adapts_experts:
        return "it changes experts, which the engine does not adapt in this run"

    return _reason_against_base(version, store, checks)


def _reason_against_base(version: Version, store: Store, checks: Checks) -> str | None:
    """Return why a version is wrong over this run's base, if it depends on the base's weights."""
    bases = store.bases(version)
    if bases is None:
        return None
    if store.scales_outputs(version):
        return _reason_against_scales(bases, checks)
    return _reason_against_tensors(bases, checks)


def _reason_against_tensors(bases: tuple[str, ...], checks: Checks) -> str | None:
    """Return why a version's tensors, which are right over `bases`, are wrong in this run."""
    # A head is stored as its difference from the base's, and copies of the base are left out.
    if checks.base_weights is None:
        return "it belongs to weights of the base that are not at hand in this run"
    if checks.base_weights.identity not in bases:
        return "it was stored over other weights than this base's, from which its own differ"
    return None


def _reason_against_scales(bases: tuple[str, ...], checks: Checks) -> str | None:
    """Return why a version's output scales, which are right for `bases`, are wrong in this run."""
    # Without scaled outputs a DoRA version would answer without its factors.
    if checks.dora_weights is None:
        return "it scales outputs (DoRA), which the engine does not do in this run"
    if checks.dora_weights.identity not in bases:
        return "its output scales (DoRA) were computed from other weights than this base's"
    return None


def records_key(adapters: Path, shapes: BaseShapes) -> str:
    """Return the key of the records of one adapter directory over one base.

    Servers with the same key share their records.
    """
    # As stored: what is learned about packed weights must not part a server from its records.
    facts = [str(adapters.resolve()), shapes.names[0], sorted(shapes.stored_shapes.items())]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


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
