"""One file that is fetched: written, counted and hashed as its bytes come.

Knows nothing of where they come from. All of it blocks on the disk.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lorabay.sources.interface import Changed, SourceError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class Sink:
    """A new file at `path` that is to have `size` bytes; a context manager.

    `sha256` is what they have to hash to, in hex, where that is known.
    """

    def __init__(self, path: Path, size: int, sha256: str | None = None) -> None:
        self._path = path
        self._size = size
        self._sha256 = sha256
        self._count = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        self._file = self._path.open("xb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, chunk: bytes) -> None:
        """Write further bytes; raises Changed once there are more than was said."""
        self._count += len(chunk)
        if self._count > self._size:
            raise Changed
        self._hash.update(chunk)
        self._file.write(chunk)

    def check(self) -> None:
        """Raise Changed for too few bytes, and SourceError for others than were promised."""
        if self._count != self._size:
            raise Changed
        if self._sha256 is not None and self._hash.hexdigest() != self._sha256:
            raise SourceError(
                f"{self._path.name} has the digest sha256:{self._hash.hexdigest()[:12]}..., and "
                f"sha256:{self._sha256[:12]}... was promised"
            )
