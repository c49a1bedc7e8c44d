"""Fingerprints of adapter folders: texts that tell whether a folder is still the same.

There are two. A *fingerprint* is what the file system says of the files: inode, size and times.
Those that say how the adapter is used are among them. It changes with every write, also with one
that sets the modification time back, because nobody can set the change time. A running server
compares fingerprints. No file is read for one, except a composite's list of members, once for each
form of it. The device is left out: it is a number that each mount gives out anew.

So do some file systems with inodes (those of object stores), and a change time is that of the copy.
Over a restart on another volume, or when a volume comes back, neither need be left although no byte
has changed. A *sketch* is what then remains: the sizes, the modification times, the config, the
small side files, and samples of the weights. It costs a few short reads. Two versions of one
adapter with equal sizes and equal modification times, whose weights agree in every sample, are
taken for one another, but only if the second took the first one's place while no server ran or no
volume was there.

Knows nothing of names, or of when a folder has stopped changing.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.composite.composite_file import (
    COMPOSITE_FILE,
    DEPTH_AT_MOST,
    PARTS_AT_MOST,
    member_folder,
    read_composite,
)
from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Limits,
    Unreadable,
    open_source,
    read_bytes,
)
from lorabay.files.model_folder import model_files_in
from lorabay.files.real_paths import is_written_below
from lorabay.files.side_files import read_side_file, side_files_in
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)

ABSENT = "- -"
"""Fingerprint of a folder that holds neither file, and neither a composite nor a model."""

UNREADABLE = "unreadable"
"""Begin of the fingerprint of a folder that cannot be looked at."""

ANYWHERE = (Path("/"),)

SAMPLE_BYTES = 1 << 16
"""Bytes of each of the three samples of a weights file: its begin with the header, middle, end."""

_FILE = re.compile(r"(?<![\w:-])\d+:(\d+:-?\d+:-?\d+)(?![\w:-])")
"""A file in a fingerprint; the group is all of it but the inode."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """State of one folder.

    `newest_ns` is when the last file changed (nanoseconds since the epoch by the clock of its file
    system, 0 without a file). `is_whole` is true if the folder holds both adapter files, or config
    and weights of a model; a composite is never whole, because its members may still be on their
    way.
    """

    fingerprint: str
    newest_ns: int = 0
    is_whole: bool = False


def fingerprint(folder: Path, roots: tuple[Path, ...] = ANYWHERE) -> str:
    """Return the fingerprint that a scan would find for `folder` now; never raises OSError."""
    return _Look(roots).look_quietly(folder).fingerprint


def look_at(folder: Path, roots: tuple[Path, ...] = ANYWHERE) -> FolderState:
    """Return the state of `folder`; for a composite it includes its members'.

    Nothing is asked of a member that is not written below `roots`. Raises OSError if the adapter
    files cannot be looked at.
    """
    return _Look(roots).look_at(folder)


def describe(file: os.stat_result) -> str:
    """Return a text that changes whenever the file does."""
    return f"{file.st_ino}:{file.st_size}:{file.st_mtime_ns}:{file.st_ctime_ns}"


def differ_in_inodes_only(one: str, other: str) -> bool:
    """Return whether two fingerprints differ in nothing but inodes, which some file systems make
    up anew for the same file.
    """
    return _FILE.sub(r"\1", one) == _FILE.sub(r"\1", other)


def holds_files(text: str, files: Iterable[os.stat_result]) -> bool:
    """Return whether every file is one of those that a fingerprint was made of."""
    known = set(_FILE.findall(text))
    return all(f"{file.st_size}:{file.st_mtime_ns}:{file.st_ctime_ns}" in known for file in files)


def sketch(folder: Path, roots: tuple[Path, ...] = ANYWHERE) -> str | None:
    """Return what a copy of the folder that keeps modification times has in common with it.

    None if it is a composite, or cannot be read.
    """
    limits = Limits()
    try:
        with open_source(folder / CONFIG_FILE, limits.config_bytes, roots=roots) as config:
            facts = [_kept(config), _hash(read_bytes(config, limits.config_bytes))]
        with open_source(folder / WEIGHTS_FILE, limits.weights_bytes, roots=roots) as weights:
            facts += [_kept(weights), _hash(*_samples(weights))]
        facts += _sketches(folder, roots)
    except (Unreadable, OSError):
        return None
    return " ".join(facts)


def _sketches(folder: Path, roots: tuple[Path, ...]) -> Iterator[str]:
    """Yield the sketch of each side file that there is."""
    for name in side_files_in(folder):
        content = read_side_file(folder, name, roots=roots)
        if content is not None:
            size, changed_ns = _size_and_time(folder / name)
            yield f"{name}={size}:{changed_ns} {_hash(content)}"


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _kept(file: BinaryIO) -> str:
    status = os.fstat(file.fileno())
    return f"{status.st_size}:{status.st_mtime_ns}"


def _samples(file: BinaryIO) -> list[bytes]:
    size = os.fstat(file.fileno()).st_size
    samples = []
    for place in (0, (size - SAMPLE_BYTES) // 2, size - SAMPLE_BYTES):
        file.seek(max(0, place))
        samples.append(read_bytes(file, SAMPLE_BYTES))
    return samples


def _hash(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a folder and at what it is made of; each folder is looked at once."""

    roots: tuple[Path, ...]
    seen: set[Path] = field(default_factory=set)

    def look_at(self, folder: Path, depth: int = 0) -> FolderState:
        files = [_stat_file(folder, name) for name in ADAPTER_FILES]
        if not any(files):
            return self._look_at_composite(folder, depth)

        beside = _side_files(folder)
        newest_ns = _newest_ns([*files, *beside.values()])
        return FolderState(_text(files) + _text_beside(beside), newest_ns, is_whole=all(files))

    def look_quietly(self, folder: Path, depth: int = 0) -> FolderState:
        """Look at a folder, and return a state of its own for one that cannot be read."""
        try:
            return self.look_at(folder, depth)
        except (OSError, ValueError) as error:  # ValueError: a member's path with a null character
            return _unreadable(error)

    def _look_at_composite(self, folder: Path, depth: int) -> FolderState:
        try:
            file = _stat_file(folder, COMPOSITE_FILE)
        except OSError as error:
            return _unreadable(error)
        if file is None:
            return _model_state(folder)
        if depth >= DEPTH_AT_MOST:
            return FolderState("too deep")

        self.seen.add(_written(folder))
        members = _members(folder, describe(file))
        states = [self._look_at_member(member, depth + 1) for member in members]
        beside = _side_files(folder)
        own = describe(file) + _text_beside(beside)
        return FolderState(
            " | ".join([own, *(state.fingerprint for state in states)]),
            max([_newest_ns([file, *beside.values()]), *(state.newest_ns for state in states)]),
        )

    def _look_at_member(self, folder: Path, depth: int) -> FolderState:
        """Look at a member unless it was looked at already, or must not be."""
        written = _written(folder)
        if written in self.seen:
            return FolderState("seen")
        if not is_written_below(folder, self.roots):
            return FolderState("outside")
        if len(self.seen) > PARTS_AT_MOST:
            return FolderState("too many")

        self.seen.add(written)
        return self.look_quietly(folder, depth)


def _model_state(folder: Path) -> FolderState:
    """Return the state of a whole model, or of a folder that holds nothing to serve."""
    names: tuple[str, ...] = ()
    with suppress(OSError):  # it may be entered and not listed
        names = model_files_in(folder)
    files = {name: _stat_file(folder, name) for name in names}
    if not files or None in files.values():
        return FolderState(ABSENT)
    present = {name: file for name, file in files.items() if file is not None}
    text = "model" + _text_beside(present)
    return FolderState(text, _newest_ns([*present.values()]), is_whole=True)


def _written(folder: Path) -> Path:
    return Path(os.path.normpath(folder))


@lru_cache(maxsize=256)
def _members(folder: Path, state: str) -> tuple[Path, ...]:
    """Return the folders of a composite's members; none if its file cannot be used.

    `state` describes the composite's file and is only the cache's key: the file is read again when
    it changes.
    """
    del state
    composite = read_composite(folder)
    if isinstance(composite, Rejected):
        # A failing disk must not be remembered as a composite without members.
        if composite.transient:
            raise OSError(errno.EIO, composite.line)
        return ()
    return tuple(member_folder(folder, member.adapter) for member in composite.members)


def _unreadable(error: OSError | ValueError) -> FolderState:
    return FolderState(f"{UNREADABLE} {getattr(error, 'errno', None)}")


def _stat_file(folder: Path, name: str) -> os.stat_result | None:
    # Not through a path object: a look does this twice and more for each of thousands of folders.
    try:
        return os.stat(f"{folder}/{name}")  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return None


def _side_files(folder: Path) -> dict[str, os.stat_result]:
    """Return the side files that there are, by name."""
    found = {name: _stat_file(folder, name) for name in side_files_in(folder)}
    return {name: file for name, file in found.items() if file is not None}


def _text_beside(files: Mapping[str, os.stat_result]) -> str:
    """Return what is added to a fingerprint for side files: nothing for a folder without any."""
    return "".join(f" {name}={describe(file)}" for name, file in files.items())


def _text(files: Sequence[os.stat_result | None]) -> str:
    return " ".join("-" if file is None else describe(file) for file in files)


def _newest_ns(files: Sequence[os.stat_result | None]) -> int:
    return max(_changed_ns(file) for file in files if file is not None)


def _changed_ns(file: os.stat_result) -> int:
    # A copy may set the modification time back; the change time cannot be set.
    return max(file.st_mtime_ns, file.st_ctime_ns)
