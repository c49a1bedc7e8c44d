"""What the API asks before and after an adapter runs: that its weights are in the engine, and that they proved good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lorabay.catalog.spec import Version


class Weights(Protocol):
    """Brings versions into the engine when requests need them; `serving.host.AdapterHost` does."""

    async def ensure(self, version: Version) -> None:
        """Return when the engine holds `version`; raises LorabayError when it does not, or not in time."""
        ...

    def answered(self, version: Version) -> None:
        """The engine has begun to answer with `version`."""
        ...


class WeightsInPlace:
    """For an engine that finds every version's weights by itself."""

    async def ensure(self, version: Version) -> None:
        """Return at once."""

    def answered(self, version: Version) -> None:
        """Take no notice."""
