"""What the API asks and tells of an adapter's weights: that they are in the engine, proved good, or
are done with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lorabay.catalog.versions import Version


class Weights(Protocol):
    """Brings versions into the engine when requests need them; `serving.host.AdapterHost` does."""

    async def ensure(self, version: Version) -> None:
        """Return when the engine holds `version`; raises LorabayError when it does not, or not in
        time.
        """
        ...

    def answered(self, version: Version) -> None:
        """The engine has generated with `version`."""
        ...

    def ended(self, version: Version) -> None:
        """A generation with `version` that the engine was asked for is over, well or badly."""
        ...


class WeightsInPlace:
    """For an engine that finds every version's weights by itself."""

    async def ensure(self, version: Version) -> None:
        """Return at once."""

    def answered(self, version: Version) -> None:
        """Take no notice."""

    def ended(self, version: Version) -> None:
        """Take no notice."""
