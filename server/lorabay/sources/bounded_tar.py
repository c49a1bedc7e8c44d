"""Tars that somebody else has packed, plain or by gzip.

One is read from its beginning, never much at once, and never far beyond its limit: what a few bytes
unpack to may fill any disk, and a header may ask for any memory. Knows nothing of what it holds.
"""

from __future__ import annotations

import gzip
import tarfile
from typing import IO, TYPE_CHECKING, cast

from lorabay.sources.damaged import parsing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lorabay.errors import LorabayError

READ_BYTES = 1 << 20
"""Bytes that are read at once. A header that asks for more is no adapter's."""


class BoundedTar:
    """The tar in an open file, which has to stay open as long.

    All that reads it raises what `too_large` returns where more than `most` bytes would be
    unpacked, and Damaged for a tar that is none, or has a header of more than a MiB.
    """

    def __init__(
        self, file: IO[bytes], most: int, too_large: Callable[[], LorabayError], *, packed: bool
    ) -> None:
        source = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        bounded = cast("IO[bytes]", _Bounded(source, most, too_large))
        with parsing():
            self._tar = tarfile.open(fileobj=bounded, mode="r:")  # noqa: SIM115 (as its file)

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield all that it holds, also folders."""
        members = iter(self._tar)
        while True:
            with parsing():
                member = next(members, None)
            if member is None:
                return
            yield member

    def open(self, member: tarfile.TarInfo) -> IO[bytes] | None:
        """Open one of its files; None for what is none. Read it within `parsing`."""
        with parsing():
            return self._tar.extractfile(member)


class _Bounded:
    """A file of which no more than the first `most` bytes are read, and not much at once."""

    def __init__(self, source: IO[bytes], most: int, too_large: Callable[[], LorabayError]) -> None:
        self._source = source
        self._most = most
        self._too_large = too_large

    def read(self, count: int = -1) -> bytes:
        """Read some bytes."""
        if not 0 <= count <= READ_BYTES:
            raise tarfile.ReadError("a header of it is too large")
        self._check(self._source.tell() + count)
        return self._source.read(count)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to a place, counted from the beginning."""
        self._check(position)
        return self._source.seek(position, whence)

    def tell(self) -> int:
        """Return where the next byte is read."""
        return self._source.tell()

    def _check(self, position: int) -> None:
        if position > self._most:
            raise self._too_large()
