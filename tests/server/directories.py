"""Changed settings, and the adapters' side of a server, before its first look."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prometheus_client import CollectorRegistry

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.catalog.store import Store
from lorabay.catalog.whole_model import ModelChecks
from lorabay.metrics import Metrics
from lorabay.reconcile.reconciler import Reconciler
from lorabay.server.composition import build_reconciler
from lorabay.settings import Settings, load_settings
from tests.versions import BASE_NAMES


def changed(settings: Settings, **changes: object) -> Settings:
    return load_settings(settings.model_dump() | changes, environ={})


def read(reconciler: Reconciler) -> None:
    """Look at the directory once, and wait until what is remembered of it is on disk: another
    server may be started."""
    asyncio.run(reconciler.read_directory())
    assert reconciler.registry.flush(30)


def directory_of(
    settings: Settings,
    weights: BaseWeights | None = None,
    *,
    store: Store | None = None,
    adapted: Adapted | NotAsked | None = None,
    adapts_experts: bool = False,
    models: ModelChecks | None = None,
) -> Reconciler:
    """The adapters' side of a server, before its first look."""
    shapes = BaseShapes.read(Path(str(settings.base)), names=BASE_NAMES)
    store = store or Store.open(settings.store)
    metrics = Metrics(CollectorRegistry())
    return build_reconciler(
        settings,
        store,
        shapes,
        metrics,
        weights,
        adapted=adapted,
        adapts_experts=adapts_experts,
        models=models,
    )
