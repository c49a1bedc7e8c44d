"""The question whether somebody may use what a name means; whoever asks for a name brings it.

What one may not use looks like what does not exist. Knows nothing of keys or of who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lorabay.catalog.versions import Version


class Permission(Protocol):
    """What somebody may use."""

    def allows(self, version: Version) -> bool:
        """Return whether this version may be used, by whatever name it is asked for."""
        ...

    def allows_base(self) -> bool:
        """Return whether the base may be used without an adapter."""
        ...


class _Everything:
    """Permission for everything that is served."""

    def allows(self, version: Version) -> bool:
        return True

    def allows_base(self) -> bool:
        return True


EVERYTHING: Permission = _Everything()
"""Permission of who needs none: the operator's own keys, and the server itself."""
