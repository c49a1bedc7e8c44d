"""A lease: one request's hold on one version.

Knows nothing of who counts leases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.versions import Version


class Lease:
    """One request's hold on one version; `version` is None for the base.

    Releasing twice is harmless.
    """

    __slots__ = ("_release", "version")

    def __init__(self, version: Version | None, release: Callable[[], None] | None = None) -> None:
        self.version = version
        self._release = release

    def release(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
