"""Mixtures of adapters as the settings want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.api.mixed import MixedModels, NoMixedModel
from lorabay.reconcile.mixtures import Mixtures

if TYPE_CHECKING:
    from lorabay.api.meanings import SharedMeanings
    from lorabay.api.mixed import MixedModel
    from lorabay.reconcile.reconciler import Reconciler
    from lorabay.settings import Settings

FOLDER = "mixtures"
"""Folder of the store in which they are built."""


def mixed_model(
    settings: Settings, reconciler: Reconciler, meanings: SharedMeanings | None = None
) -> MixedModel:
    """Return what a mixture in `model` means on this server; `meanings` are those of its parts."""
    if not settings.max_mixtures:
        return NoMixedModel()
    mixtures = Mixtures(
        settings.store.resolve() / FOLDER,
        reconciler.ingest,
        reconciler.registry,
        reconciler.changes.admins,
        limit=settings.max_mixtures,
    )
    return MixedModels(reconciler.registry, mixtures, meanings)
