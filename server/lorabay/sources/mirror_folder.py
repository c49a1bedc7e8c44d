"""The private folder that sources are mirrored into: one folder an adapter, whole or not there.

    NAME/            the adapter's files, and `.source.json`: where they came from
    .incoming.NAME.XXXX/   a folder that is being fetched; worth nothing after a kill
    .former.NAME/    what NAME was, for the moment between two renames; a kill may leave it

Removes and replaces only what a mirror has made. All of it blocks on the disk.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lorabay.catalog.names import name_problems
from lorabay.errors import SetupError
from lorabay.files import durable

NOTE_FILE = ".source.json"
"""File in each mirrored folder that says where it came from. No reader of adapters looks at it."""

_INCOMING, _FORMER = ".incoming.", ".former."


class Note(BaseModel):
    """Where a mirrored folder came from: the source, and the marks of its files by name."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    location: str
    files: dict[str, str]
    at: str = ""


class MirrorFolder:
    """The mirrored adapters of one server, from all of its sources."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, tuple[int, Note]] = {}
        """What each folder's note said, by name, and the inode of the folder."""
        self._under_way: dict[Path, int] = {}
        """The hidden folders that are being fetched, and the bytes that each is to have."""
        self._counting = threading.Lock()

    def open(self) -> None:
        """Make the folder, and mend what a kill has left. Raises SetupError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in sorted(self.path.iterdir()):
                self._mend(left)
        except OSError as error:
            raise SetupError(
                f"the mirror {self.path} cannot be used: {error.strerror or error}"
            ) from error

    def _mend(self, left: Path) -> None:
        if left.name.startswith(_INCOMING):
            shutil.rmtree(left, ignore_errors=True)
        if left.name.startswith(_FORMER):
            place = self.path / left.name.removeprefix(_FORMER)
            # Killed between the two renames: what was served last is all that there is.
            if place.exists():
                shutil.rmtree(left, ignore_errors=True)
            else:
                durable.move(left, place)

    def notes(self) -> dict[str, Note]:
        """Return where each folder that a mirror made came from, by name. Raises OSError."""
        read: dict[str, tuple[int, Note]] = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                known = self._read.get(entry.name)
                if known is None or known[0] != entry.inode():
                    note = self.note(entry.name)
                    known = None if note is None else (entry.inode(), note)
                if known is not None:
                    read[entry.name] = known
        self._read = read
        return {name: note for name, (_, note) in read.items()}

    def note(self, name: str) -> Note | None:
        """Return where a folder came from; None for one that no mirror made, and for none."""
        if name_problems(name):
            return None
        try:
            return Note.model_validate_json((self.path / name / NOTE_FILE).read_bytes())
        except (OSError, ValidationError):
            return None

    def incoming(self, name: str, size: int) -> Path:
        """Return a new hidden folder to fetch `name` into. Raises OSError, or SetupError if there
        is too little room for its `size` bytes beside all that others under way still need.
        """
        folder = self.path / f"{_INCOMING}{name}.{secrets.token_hex(4)}"
        with self._counting:
            promised = sum(_left_of(one, whole) for one, whole in self._under_way.items())
            free = max(0, shutil.disk_usage(self.path).free - promised)
            if free < size:
                raise SetupError(f"{name} needs {size} bytes beside the store, and {free} are free")
            folder.mkdir()
            self._under_way[folder] = size
        return folder

    def arrived(self, incoming: Path) -> None:
        """Note that a fetched folder needs no more room."""
        with self._counting:
            self._under_way.pop(incoming, None)

    def place(self, incoming: Path, name: str, note: Note, *, replace_others: bool = False) -> None:
        """Make a fetched folder the one of `name`; a reader sees the old one, none, or the new one.

        Raises OSError, and SetupError for a folder in its place that no mirror has made, unless
        `replace_others`.
        """
        # A folder of later may have the inode of this one.
        self._read.pop(name, None)
        (incoming / NOTE_FILE).write_text(json.dumps(note.model_dump()), encoding="utf-8")
        durable.sync_tree(incoming)

        place, former = self.path / name, self.path / f"{_FORMER}{name}"
        if place.exists() and not replace_others and self.note(name) is None:
            raise SetupError(f"the folder {place} is in the way: no mirror has made it")
        shutil.rmtree(former, ignore_errors=True)
        with suppress(FileNotFoundError):
            place.replace(former)
        durable.move(incoming, place)
        self.arrived(incoming)
        shutil.rmtree(former, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Remove the folder of `name` if a mirror has made it. Raises OSError."""
        if self.note(name) is None:
            return
        gone = self.path / f"{_INCOMING}{name}.{secrets.token_hex(4)}"
        # Out of sight in one step, whole; and not as `.former`, which a restart would take back.
        durable.move(self.path / name, gone)
        shutil.rmtree(gone, ignore_errors=True)

    def discard(self, incoming: Path) -> None:
        """Remove what was fetched in vain."""
        shutil.rmtree(incoming, ignore_errors=True)
        self.arrived(incoming)


def _left_of(folder: Path, whole: int) -> int:
    """Return how many of the `whole` bytes of a folder are not written yet."""
    with suppress(FileNotFoundError):
        whole -= sum(path.stat().st_size for path in folder.iterdir())
    return max(0, whole)
