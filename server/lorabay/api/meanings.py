"""What names of adapters mean, where other servers may answer for them as well."""

from __future__ import annotations

from typing import Protocol


class SharedMeanings(Protocol):
    """The names of adapters, which other servers may answer for as well."""

    async def wait(self, model: str) -> None:
        """Return when the name in `model` means the same to every server.

        Raises EngineUnavailable while this server does not know what names mean.
        """
        ...


class OwnMeanings:
    """Names that no other server answers for."""

    async def wait(self, model: str) -> None:
        """Return at once."""
