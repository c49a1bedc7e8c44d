"""The files of an adapter folder, which someone else may be writing, or may have made to do harm.

Only two files matter, config and weights. Each must be a regular file that lies inside the allowed
roots once all links are followed. A FIFO, a device, a link that leads away, a file over its limit
or one that changes under the reader becomes a reason. This module does not know what the contents
mean, except that weights with a broken header are not worth their space.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.files.folder_read import FolderRead
from lorabay.files.impostors import SNIFFED_BYTES, impostor
from lorabay.files.safetensors_header import LENGTH_BYTES, read_header
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO


CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SCALES_FILE = "output_scales.safetensors"
"""In a stored version only: `<module>.scale`, DoRA's factor of each output of the base's module."""

_SMALLER = "`lorabay convert ADAPTER -o SMALLER --rank 64 --dtype bfloat16`"

_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
_CHUNK = 1 << 20
_ANYWHERE = (Path("/"),)

_LASTING = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV})
"""Errors that are facts of a folder: permissions, link loops, sockets. Others may pass by
themselves, as when descriptors run out or a disk is away."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes beyond which a file is not read.

    An adapter on every expert of a large mixture names some ten thousand modules: its config has
    two megabytes, and the header of its weights ten.
    """

    config_bytes: int = 4 << 20
    header_bytes: int = 16 << 20
    weights_bytes: int = 4 << 30


class Unreadable(Exception):
    """A file of an adapter folder cannot be read. Readers catch it and return its reason."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(code, text)


def read_config(folder: Path, limits: Limits) -> Mapping[str, object] | Rejected:
    """Return the JSON object in the config file of `folder`, or why there is none."""
    return read_object(folder / CONFIG_FILE, limits)


def read_object(path: Path, limits: Limits) -> Mapping[str, object] | Rejected:
    """Return the JSON object in a file, or why there is none."""
    try:
        written = read_small(path, limits.config_bytes)
    except Unreadable as problem:
        return rejected([problem.reason])

    other = impostor(path.name, written[:SNIFFED_BYTES])
    if other is not None:
        return rejected([other])
    try:
        content = json.loads(written)
    except (ValueError, RecursionError) as error:
        return rejected(
            [Reason("config_not_json", f"{path.name} is not valid JSON: {quoted(str(error))}")]
        )

    if not isinstance(content, dict):
        return rejected([Reason("config_not_json", f"{path.name} is not a JSON object")])
    return content


def read_small(path: Path, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes; raise Unreadable as `open_source`."""
    with open_source(path, limit) as file:
        return read_bytes(file, limit)


def copy_adapter(
    folder: Path,
    target: Path,
    *,
    roots: tuple[Path, ...],
    limits: Limits,
    read: FolderRead | None = None,
) -> Rejected | None:
    """Copy config and weights into `target`, each exactly as it was at one moment.

    Both are taken from the one folder that `folder` led to when it was opened, which must lie
    inside `roots`: a link that is flipped meanwhile cannot mix two folders. Return the reasons if a
    file cannot be read, or there is too little room for it; else None. Raise OSError for errors of
    writing, and Stopped when `read` is to end. If the header of the weights is broken, their copy
    has only the header and the size, which are enough to tell the defect.
    """
    read = read or FolderRead()
    try:
        with open_folder(folder, roots, read) as place:
            reasons = tuple(_copy_both(folder, place, target, roots, limits, read))
    except Unreadable as problem:
        reasons = (problem.reason,)
    return rejected(reasons) if reasons else None


def _copy_both(
    folder: Path,
    place: int,
    target: Path,
    roots: tuple[Path, ...],
    limits: Limits,
    read: FolderRead,
) -> Iterator[Reason]:
    """Copy the two files of the folder that is open as `place`; yield what is wrong with each."""
    config = open_source(
        folder / CONFIG_FILE, limits.config_bytes, roots=roots, place=place, read=read
    )
    try:
        with config as source:
            _copy(source, target / CONFIG_FILE, limits.config_bytes, read)
    except Unreadable as problem:
        yield problem.reason

    weights = open_source(
        folder / WEIGHTS_FILE, limits.weights_bytes, roots=roots, place=place, read=read
    )
    try:
        with weights as source:
            _copy_weights(source, target / WEIGHTS_FILE, limits, read)
    except Unreadable as problem:
        yield problem.reason


@contextmanager
def open_folder(path: Path, roots: tuple[Path, ...], read: FolderRead) -> Iterator[int]:
    """Open the folder that `path` leads to; raise Unreadable unless it lies inside `roots`."""
    try:
        with read.waiting():
            place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _vanished() from error
    except OSError as error:
        raise _read_problem("the folder", error) from error

    try:
        if not _is_inside(place, roots):
            text = "the folder is a link that leaves the adapter directory"
            raise Unreadable("link_outside", text)
        yield place
    finally:
        os.close(place)


def _is_inside(descriptor: int, roots: tuple[Path, ...]) -> bool:
    """Return whether an open file lies inside `roots`, which are resolved.

    It is asked, not its path: a link may change between check and open.
    """
    real = Path(f"/proc/self/fd/{descriptor}").readlink()
    return any(real.is_relative_to(root) for root in roots)


@contextmanager
def open_source(
    path: Path,
    limit: int,
    *,
    roots: tuple[Path, ...] = _ANYWHERE,
    place: int | None = None,
    read: FolderRead | None = None,
) -> Iterator[BinaryIO]:
    """Open the regular file at `path` for reading.

    `place` is its folder if that is open already; then the path only says how the file is called.
    Raise Unreadable if it is not a regular file, has more than `limit` bytes, or lies outside
    `roots` once links are followed.
    """
    read = read or FolderRead()
    where = path if place is None else Path(path.name)
    try:
        # O_NONBLOCK: a FIFO without a writer would block a plain open for ever.
        with read.waiting():
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(where, flags, dir_fd=place)
    except OSError as error:
        raise _open_problem(path, error) from error

    # Before anything is read: reading a device may have effects.
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Unreadable("special_file", f"{path.name} is not a regular file")

    with os.fdopen(descriptor, "rb") as file:
        if not _is_inside(descriptor, roots):
            raise Unreadable(
                "link_outside", f"{path.name} is a link that leaves the adapter directory"
            )
        if status.st_size > limit:
            text = f"{path.name} has {status.st_size} bytes; the limit is {limit}"
            if path.name == WEIGHTS_FILE:
                text += f"; make it smaller: {_SMALLER}"
            raise Unreadable("file_too_large", text)
        yield file


def read_bytes(file: BinaryIO, count: int) -> bytes:
    """Read as `file.read` does. Raise Unreadable where that raises OSError.

    A caller that copies knows then that an OSError comes from writing.
    """
    try:
        return file.read(count)
    except OSError as error:
        raise io_problem(error) from error


def io_problem(error: OSError) -> Unreadable:
    """Return the problem that a failing disk is to the reader of an adapter."""
    return _read_problem("a file", error)


def _copy(source: BinaryIO, target: Path, limit: int, read: FolderRead) -> None:
    before = os.fstat(source.fileno())
    with target.open("xb") as copy:
        # One byte over the limit is enough to see that the file has grown.
        while chunk := _chunk(source, min(_CHUNK, limit + 1 - copy.tell()), read):
            copy.write(chunk)
        check_unchanged(source, before, copy.tell())
    read.note(before)


def _chunk(source: BinaryIO, count: int, read: FolderRead) -> bytes:
    with read.waiting():
        return read_bytes(source, count)


def _copy_weights(source: BinaryIO, target: Path, limits: Limits, read: FolderRead) -> None:
    before = os.fstat(source.fileno())
    with read.waiting():
        has_header = _has_header(source, limits)
    if has_header:
        _check_room(target, before.st_size)
        _copy(source, target, limits.weights_bytes, read)
        return

    # A file of that size that takes no space but for its header.
    with target.open("xb") as copy:
        count = min(LENGTH_BYTES + limits.header_bytes, before.st_size)
        copy.write(_chunk(source, count, read))
        copy.truncate(before.st_size)
    check_unchanged(source, before, before.st_size)
    read.note(before)


def _has_header(source: BinaryIO, limits: Limits) -> bool:
    """Return whether the header is a valid one, and go back to the start of the file."""
    try:
        header = read_header(source, max_bytes=limits.header_bytes)
        source.seek(0)
    except OSError as error:
        raise io_problem(error) from error
    return not isinstance(header, Rejected)


def _check_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    needed = 2 * size  # the copy, and the canonical version that is made from it
    if free < needed:
        raise Unreadable(
            "store_full",
            f"{target.name} of {size} bytes needs {needed} to be stored; {free} are free",
        )


def check_unchanged(file: BinaryIO, before: os.stat_result, copied: int) -> None:
    """Raise Unreadable unless a file, of which `copied` bytes were read, is as it was `before`."""
    after = os.fstat(file.fileno())
    state = (after.st_size, after.st_mtime_ns)
    if copied != before.st_size or state != (before.st_size, before.st_mtime_ns):
        raise Unreadable("changed_while_read", "the folder is still being written")


def _open_problem(path: Path, error: OSError) -> Unreadable:
    """Return the reason for a file that cannot be opened: often it is one that is not there."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return _read_problem(path.name, error)
    if not path.parent.is_dir():
        return _no_folder(path.parent)
    if broken := broken_link(path):
        return Unreadable(broken.code, broken.text)
    if path.name == CONFIG_FILE:
        text = f"there is no {CONFIG_FILE}; copy it from where the adapter was trained"
        return Unreadable("config_missing", text)

    for pickle in _PICKLES:
        if (path.parent / pickle).exists():
            return Unreadable(
                "pickle",
                f"{pickle} is a pickle, which can run code when it is read; make it {WEIGHTS_FILE} "
                "with `lorabay convert FOLDER -o NEW --allow-pickle`",
            )
    return Unreadable("weights_missing", f"there is no {WEIGHTS_FILE}")


def broken_link(path: Path) -> Reason | None:
    """Return why a file that is not there was seen in its folder: it is a link to nowhere.

    A copy of a snapshot in the hub's cache has such links, unless they were followed.
    """
    if not path.is_symlink() or path.exists():
        return None
    text = f"{path.name} is a link to a file that is not there; copy the folder with `cp -rL`"
    return Reason("link_broken", text)


def _no_folder(path: Path) -> Unreadable:
    if path.is_file():
        text = f"{quoted(path.name)} is a file; an adapter is the folder that holds its files"
        return Unreadable("not_a_folder", text)
    return _vanished()


def _vanished() -> Unreadable:
    return Unreadable("vanished", "the folder is not there, or vanished while it was read")


def _read_problem(name: str, error: OSError) -> Unreadable:
    code = "unreadable" if error.errno in _LASTING else "read_failed"
    return Unreadable(code, f"{name} cannot be read: {error.strerror}")
