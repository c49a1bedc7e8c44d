"""Where uploads lie while they are received: hidden folders in the adapter directory itself.

    .upload.XXXX/archive    what was sent
    .upload.XXXX/adapter/   what it unpacks to
    NAME/                   the adapter, by one rename of that folder

A new version of an adapter and the folder that is there change places, so that there is one at any
time. What people have put beside the weights stays: the new folder has it too before it gets the
name. Where a file system cannot exchange two folders, the former one is for a moment at

    .upload.XXXX/former/

A kill may leave a hidden folder, which no reader of adapters looks at; the next upload removes it
once it is old, unless a former folder is in it. All of it blocks on the disk.
"""

from __future__ import annotations

import errno
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.fingerprints import look_at
from lorabay.errors import AdapterConflict, StorageUnavailable
from lorabay.files import durable
from lorabay.files.links import link_or_copy
from lorabay.files.side_files import SETTINGS_FILE
from lorabay.sources.adapter_files import wanted_files

if TYPE_CHECKING:
    from collections.abc import Callable

_HIDDEN = ".upload."

OLD_S = 6 * 3600.0
"""Age at which a hidden folder is a leftover: no upload takes as long."""

_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})


@dataclass(frozen=True, slots=True)
class Incoming:
    """One upload that is being received."""

    archive: Path
    adapter: Path

    @property
    def former(self) -> Path:
        """Where the folder is that this one takes the place of, if the two cannot be exchanged."""
        return self.archive.with_name("former")


class UploadFolder:
    """The adapter directory that uploads are put into.

    `exchange` gives two folders the names of one another; it returns False where that cannot be.
    """

    def __init__(
        self, root: Path, *, exchange: Callable[[Path, Path], bool] = durable.exchange
    ) -> None:
        self._root = root
        self._exchange = exchange

    def is_taken(self, name: str) -> bool:
        """Return whether a folder, or anything else, has this name or one that differs in case."""
        folded = name.casefold()
        return any(path.name.casefold() == folded for path in self._root.iterdir())

    def state(self, name: str) -> str:
        """Return what changes whenever the folder of an adapter does.

        Raises AdapterConflict if the adapter has no folder of its own here.
        """
        folder = self._root / name
        if folder.is_symlink():
            raise AdapterConflict(
                f"the folder of {name!r} is a link: change what it leads to, {folder.resolve()}"
            )
        if not folder.is_dir():
            raise AdapterConflict(
                f"{name!r} has no folder in {self._root}: change it where it comes from"
            )
        return look_at(folder, (self._root,)).fingerprint

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

    def take_over(self, incoming: Incoming, name: str) -> None:
        """Give what was received whatever the folder of `name` holds beside a version's own files.

        Its card and its `lorabay.toml`, too, unless what was received brings others.
        """
        folder = self._root / name
        present = {path.name for path in folder.iterdir()}
        received = {path.name for path in incoming.adapter.iterdir()}
        left_out = received | (wanted_files(present).keys() - {SETTINGS_FILE})

        # Before others' files are there, which may be anything.
        durable.sync_tree(incoming.adapter)
        shutil.copytree(
            folder,
            incoming.adapter,
            symlinks=True,
            ignore=lambda place, names: left_out if Path(place) == folder else (),
            copy_function=_carry_over,
            dirs_exist_ok=True,
        )

    def replace(self, incoming: Incoming, name: str, state: str) -> None:
        """Make what was received the folder of `name`, in place of the one that is there.

        Raises AdapterConflict if that is not in `state` any more.
        """
        folder = self._root / name
        durable.write_out(self._root)
        durable.sync(incoming.adapter)
        if self.state(name) != state:
            raise AdapterConflict(
                f"the folder of {name!r} changed while the upload was received: look at it again"
            )
        if self._exchange(incoming.adapter, folder):
            return

        durable.move(folder, incoming.former)
        try:
            durable.move(incoming.adapter, folder)
        except OSError:
            durable.move(incoming.former, folder)
            raise

    def _remove_leftovers(self) -> None:
        for left in self._root.glob(f"{_HIDDEN}*"):
            with suppress(OSError):
                is_old = time.time() - left.stat().st_mtime > OLD_S
                # Of a kill in the one moment in which the only copy of a folder is there.
                if is_old and not (left / "former").exists():
                    shutil.rmtree(left, ignore_errors=True)


def _carry_over(source: str, target: str) -> None:
    """Have a file in the new folder, too."""
    # A second name changes the times of a file, and those of this one are watched.
    if Path(source).name == SETTINGS_FILE:
        shutil.copy2(source, target)
    else:
        link_or_copy(source, target)


def taken(name: str) -> AdapterConflict:
    """Return the refusal of a name that is not free."""
    return AdapterConflict(
        f"there is an adapter {name!r} already, or a folder of that name: choose another name, or "
        "say with `seen` which version of it is live, to send it a new one"
    )


def no_room(why: str) -> StorageUnavailable:
    """Return the refusal of what the disk has no room for."""
    return StorageUnavailable(f"the disk of the adapter directory has too little room: {why}")
