"""Where uploads lie while they are received: hidden folders in the adapter directory itself.

    .upload.XXXX/archive    what was sent
    .upload.XXXX/adapter/   what it unpacks to
    NAME/                   the adapter, by one rename of that folder

A kill may leave a hidden folder, which no reader of adapters looks at; the next upload removes it
once it is old. All of it blocks on the disk.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.files import durable

_HIDDEN = ".upload."

OLD_S = 6 * 3600.0
"""Age at which a hidden folder is a leftover: no upload takes as long."""

_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})


@dataclass(frozen=True, slots=True)
class Incoming:
    """One upload that is being received."""

    archive: Path
    adapter: Path


class UploadFolder:
    """The adapter directory that uploads are put into."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def is_taken(self, name: str) -> bool:
        """Return whether a folder, or anything else, has this name or one that differs in case."""
        folded = name.casefold()
        return any(path.name.casefold() == folded for path in self._root.iterdir())

    def check_room(self, size: int) -> None:
        """Raise StorageUnavailable if there is too little room for `size` bytes, twice."""
        free = shutil.disk_usage(self._root).free
        # As it was sent, and unpacked.
        if free < 2 * size:
            raise no_room(f"{2 * size} bytes are needed, and {free} are free")

    def begin(self) -> Incoming:
        """Return a new place to receive an upload in."""
        self._remove_leftovers()
        hidden = self._root / f"{_HIDDEN}{secrets.token_hex(8)}"
        adapter = hidden / "adapter"
        adapter.mkdir(parents=True)
        return Incoming(hidden / "archive", adapter)

    def discard(self, incoming: Incoming) -> None:
        """Remove whatever is left of an upload."""
        shutil.rmtree(incoming.archive.parent, ignore_errors=True)

    def place(self, incoming: Incoming, name: str) -> None:
        """Make what was received the folder of `name`, in one step.

        Raises AdapterConflict if there is one by now.
        """
        durable.sync_tree(incoming.adapter)
        try:
            durable.move(incoming.adapter, self._root / name)
        except OSError as error:
            if error.errno in _TAKEN:
                raise taken(name) from None
            raise

    def _remove_leftovers(self) -> None:
        for left in self._root.glob(f"{_HIDDEN}*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > OLD_S:
                    shutil.rmtree(left, ignore_errors=True)


def taken(name: str) -> AdapterConflict:
    """Return the refusal of a name that is not free."""
    return AdapterConflict(
        f"there is an adapter {name!r} already, or a folder of that name: choose another name, or "
        "change the folder itself"
    )


def no_room(why: str) -> StorageUnavailable:
    """Return the refusal of what the disk has no room for."""
    return StorageUnavailable(f"the disk of the adapter directory has too little room: {why}")
