"""`model: auto` as the settings want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from lorabay.api.auto import NoAutoModel, RoutedModel
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.router import Router

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.api.auto import AutoModel
    from lorabay.catalog.registry.registry import Registry
    from lorabay.serving.engine import Weights

logger = structlog.get_logger(__name__)


def read_router(folder: Path | None, base: Path) -> Router | None:
    """Return the router in a folder over the base in another; None without a folder.

    Blocks; raises SetupError for one that cannot be used.
    """
    if folder is None:
        return None
    router = Router.read(folder, base)
    names = [name for name in router.about.classes if name != BASE_CLASS]
    logger.info("router read", router=router.id, adapters=names)
    return router


def auto_model(
    router: Router | None, registry: Registry, weights: Weights, *, base_name: str
) -> AutoModel:
    """Return what `auto` means on this server."""
    if router is None:
        return NoAutoModel()
    return RoutedModel(router, registry, weights, base_name=base_name)
