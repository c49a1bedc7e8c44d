"""Fingerprints of adapter folders: texts that change whenever a file of the folder does.

A fingerprint is made of what the file system says of the files: device, inode, size and times. No
file is read, except a composite's list of members, once for each form of it. Knows nothing of
names, or of when a folder has stopped changing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.composite import COMPOSITE_FILE, DEPTH_AT_MOST, member_folder, read_composite
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

ADAPTER_FILES = (CONFIG_FILE, WEIGHTS_FILE)

ABSENT = "- -"
"""Fingerprint of a folder that holds neither file and is not a composite."""


@dataclass(frozen=True, slots=True)
class FolderState:
    """State of one folder.

    `newest_ns` is when the last file changed (nanoseconds since the epoch, 0 without a file).
    `is_whole` is true if the folder holds both adapter files; a composite is never whole, because
    its members may still be on their way.
    """

    fingerprint: str
    newest_ns: int = 0
    is_whole: bool = False


def fingerprint(folder: Path) -> str:
    """Return the fingerprint that a scan would find for `folder` now; never raises OSError."""
    return _look_quietly(folder).fingerprint


def look_at(folder: Path, within: tuple[Path, ...] = ()) -> FolderState:
    """Return the state of `folder`; for a composite it includes its members'.

    `within` holds the composites that lead here, to end a circle of them. Raises OSError if the
    adapter files cannot be looked at.
    """
    files = [_stat_file(folder / name) for name in ADAPTER_FILES]
    if not any(files):
        return _look_at_composite(folder, within)
    return FolderState(_text(files), _newest_ns(files), is_whole=all(files))


def describe(file: os.stat_result) -> str:
    """Return a text that changes whenever the file does."""
    return f"{file.st_dev}:{file.st_ino}:{file.st_size}:{file.st_mtime_ns}:{file.st_ctime_ns}"


def _look_at_composite(folder: Path, within: tuple[Path, ...]) -> FolderState:
    try:
        file = _stat_file(folder / COMPOSITE_FILE)
    except OSError as error:
        return _unreadable(error)
    if file is None:
        return FolderState(ABSENT)
    if folder in within or len(within) >= DEPTH_AT_MOST:
        return FolderState("too deep")

    members = _members(folder, describe(file))
    states = [_look_quietly(member, (*within, folder)) for member in members]
    return FolderState(
        " | ".join([describe(file), *(state.fingerprint for state in states)]),
        max([_changed_ns(file), *(state.newest_ns for state in states)]),
    )


@lru_cache(maxsize=256)
def _members(folder: Path, state: str) -> tuple[Path, ...]:
    """Return the folders of a composite's members; none if its file cannot be used.

    `state` describes the composite's file and is only the cache's key: the file is read again when
    it changes.
    """
    del state
    composite = read_composite(folder)
    if isinstance(composite, Rejected):
        return ()
    return tuple(member_folder(folder, member.adapter) for member in composite.members)


def _look_quietly(folder: Path, within: tuple[Path, ...] = ()) -> FolderState:
    """Look at a folder, and return a state of its own for one that cannot be read."""
    try:
        return look_at(folder, within)
    except (OSError, ValueError) as error:  # ValueError: a member's path with a null character
        return _unreadable(error)


def _unreadable(error: OSError | ValueError) -> FolderState:
    return FolderState(f"unreadable {getattr(error, 'errno', None)}")


def _stat_file(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _text(files: Sequence[os.stat_result | None]) -> str:
    return " ".join("-" if file is None else describe(file) for file in files)


def _newest_ns(files: Sequence[os.stat_result | None]) -> int:
    return max(_changed_ns(file) for file in files if file is not None)


def _changed_ns(file: os.stat_result) -> int:
    # A copy may set the modification time back; the change time cannot be set.
    return max(file.st_mtime_ns, file.st_ctime_ns)
