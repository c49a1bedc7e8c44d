"""The files of an archive that somebody sent, and which of them are an adapter's.

The adapter's files lie side by side, at the top of the archive or in any one folder of it. Only
files of known names are taken; the others are named, and left. An archive that does not mean what
it seems to is refused whole: a path that climbs out, a link, a device, two adapters. Knows nothing
of how archives are packed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from lorabay.catalog.cards import CARD_FILE, LIMIT_BYTES as CARD_BYTES
from lorabay.errors import InvalidRequest
from lorabay.reasons import quoted
from lorabay.sources.adapter_files import is_adapters, wanted_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

ENTRIES_AT_MOST = 10_000
"""Files and folders of one archive; training leaves hundreds beside an adapter."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: its number there, its path, and its unpacked bytes, as it says."""

    number: int
    path: PurePosixPath
    size: int


class Archive(Protocol):
    """An open archive. Folders are no entries."""

    @property
    def entries(self) -> Sequence[Entry]:
        """The files, each with a path that was checked."""
        ...

    def open(self, entry: Entry) -> IO[bytes]:
        """Open one of them for reading. Raises InvalidRequest."""
        ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files of an archive that are an adapter's, by name, and how many are left out."""

    files: Mapping[str, Entry]
    left_out: int


def entry_of(number: int, path: str, size: int, *, is_regular: bool) -> Entry:
    """Return an entry; raises InvalidRequest for one that no honest archive of an adapter has."""
    if number >= ENTRIES_AT_MOST:
        raise InvalidRequest(
            f"the archive holds more than {ENTRIES_AT_MOST} files: send the adapter's files alone"
        )
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or parts[0].startswith("/") or "\\" in path or "\0" in path:
        raise InvalidRequest(f"the path {quoted(path)} in the archive climbs out of its folder")
    if not is_regular:
        raise InvalidRequest(f"{quoted(path)} in the archive is a link or a device")
    return Entry(number, PurePosixPath(path), size)


def choose(entries: Sequence[Entry]) -> Chosen:
    """Return the files of the one adapter in an archive.

    Raises InvalidRequest if there is none, or more than one, or if one of its files is too large or
    there twice.
    """
    by_folder: defaultdict[PurePosixPath, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_folder[entry.path.parent].append(entry)

    folder = _adapters_folder(by_folder)
    limits = wanted_files({entry.path.name for entry in by_folder[folder]})
    # Nothing relies on a card: one that would not be shown is left out, like any other file.
    cards = [one for one in by_folder[folder] if one.path.name == CARD_FILE]
    if all(card.size <= CARD_BYTES for card in cards):
        limits[CARD_FILE] = CARD_BYTES
    files: dict[str, Entry] = {}
    for entry in by_folder[folder]:
        name = entry.path.name
        if name not in limits:
            continue
        if name in files:
            raise InvalidRequest(f"the archive holds two files called {quoted(str(entry.path))}")
        if entry.size > limits[name]:
            text = f"{name} has {entry.size} bytes; the limit is {limits[name]}"
            raise InvalidRequest(text, status=413)
        files[name] = entry
    return Chosen(files, len(entries) - len(files))


def _adapters_folder(by_folder: Mapping[PurePosixPath, Sequence[Entry]]) -> PurePosixPath:
    """Return the folder of an adapter that is nearest to the top, if only one is."""
    found = [
        folder
        for folder, entries in by_folder.items()
        if any(is_adapters(entry.path.name) for entry in entries)
    ]
    if not found:
        raise InvalidRequest(
            "the archive holds no adapter: there is neither adapter_config.json nor "
            "adapter_model.safetensors in it"
        )

    depth = min(len(folder.parts) for folder in found)
    nearest = sorted(folder for folder in found if len(folder.parts) == depth)
    if len(nearest) > 1:
        names = ", ".join(quoted(str(folder)) for folder in nearest[:5])
        raise InvalidRequest(f"the archive holds several adapters ({names}): send one at a time")
    return nearest[0]
