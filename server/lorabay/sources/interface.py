"""What a source of adapters is: it lists what it offers, and fetches one offer into a folder.

Nothing above a source learns what a bucket, a registry or a hub is. Knows nothing of what becomes
of the files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.sources.pace import Pace


class SourceError(LorabayError):
    """A source, or one adapter of it, cannot be had now. The message is one sentence.

    `lasting` says that asking again soon is in vain: somebody has to do something first.
    """

    code = "setup_error"

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class Changed(Exception):
    """An adapter is not what the list said any more: whoever fetches it looks again."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of an adapter: its bytes, and a mark that changes whenever its content does."""

    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One adapter as a source lists it now.

    `files` are those that are fetched, by name. `sealed` says that all belong together, so that
    nobody has to wait whether more of them change. `at` is what a tag or a branch leads to now: a
    digest or a commit; empty where there is no such thing.
    """

    name: str
    files: Mapping[str, RemoteFile]
    sealed: bool = False
    at: str = ""

    @property
    def marks(self) -> dict[str, str]:
        """The marks of the files by name: equal for equal adapters."""
        return {name: file.mark for name, file in self.files.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source offers, and why it does not offer the rest; both by name."""

    offers: Mapping[str, Offer] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """True if the source shows nothing at all."""
        return not self.offers and not self.refused


class Source(Protocol):
    """A place that adapters come from; `location` is what an operator calls it, and tells it from
    all others of a server.
    """

    @property
    def location(self) -> str:
        """The source as it was written, also with a name, and without secrets."""
        ...

    async def list(self) -> Listing:
        """Return all that there is now. Raises SourceError, and then nothing is known."""
        ...

    async def fetch(self, offer: Offer, into: Path, pace: Pace) -> None:
        """Write the files of an offer into an empty folder, each checked against the list.

        Raises Changed if it is not as listed any more, SourceError for every other failure of the
        source, and OSError for one of this machine's disk.
        """
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
