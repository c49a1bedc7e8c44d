"""The weights of adapters and of whole models in one: each version goes where its kind lives.

Adapters share one engine and its places, a model has an engine of its own. Knows nothing of how
either loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.models.model_engines import ModelEngines
    from lorabay.serving.residency import Residency


class AllWeights:
    """The weights that one server can answer with; `swaps.EngineWeights` for both kinds."""

    accepts_swaps = True

    def __init__(self, adapters: Residency, models: ModelEngines) -> None:
        self._adapters = adapters
        self._models = models

    def has_room_for(self, version: Version) -> bool:
        """Return whether a version fits without an eviction; a model is loaded, or refused."""
        return version.is_model or self._adapters.has_room_for(version)

    def placed(self) -> frozenset[Digest]:
        """Return all weights whose files an engine may still read."""
        return self._adapters.placed() | self._models.placed()

    def resident(self) -> dict[Digest, float]:
        """Return the weights that can be answered with, and the wall-clock times of their last
        use.
        """
        return self._adapters.resident() | self._models.resident()

    def loading(self) -> frozenset[Version]:
        """Return the versions that are being loaded."""
        return self._adapters.loading() | self._models.loading()

    async def ensure(self, version: Version, *, swap: bool = False) -> None:
        """Return when a version can be answered with; raises what its kind raises."""
        await self._of(version).ensure(version, swap=swap)

    async def drop(self, version: Version) -> None:
        """Take a version's weights out of memory unless they are in use."""
        await self._of(version).drop(version)

    def _of(self, version: Version) -> Residency | ModelEngines:
        return self._models if version.is_model else self._adapters
