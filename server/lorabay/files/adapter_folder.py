"""Reads the files of an adapter folder that someone else may be writing, or may have made to do
harm.

Only two files matter, config and weights. They must be regular files that lie inside the allowed
roots once all links are followed; a FIFO, a device, a link that leads away, a file over its limit
or one that changes under the reader gives a reason. Knows nothing of what the contents mean, but
that weights with a broken header are not worth their space.
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

from lorabay.files.safetensors_header import LENGTH_BYTES, read_header
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO


CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SCALES_FILE = "output_scales.safetensors"
"""In a stored version only: `<module>.scale`, the factor of each output of the base's module
(DoRA).
"""

_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")
_CHUNK = 1 << 20
_ANYWHERE = (Path("/"),)


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes beyond which a file is not read."""

    config_bytes: int = 1 << 20
    header_bytes: int = 8 << 20
    weights_bytes: int = 4 << 30


class Unreadable(Exception):
    """A file of an adapter folder cannot be read, with the reason. Never leaves this package."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.reason = Reason(code, text)


def read_config(folder: Path, limits: Limits) -> Mapping[str, object] | Rejected:
    """The JSON object in the config file."""
    return read_object(folder / CONFIG_FILE, limits)


def read_object(path: Path, limits: Limits) -> Mapping[str, object] | Rejected:
    """The JSON object in a file."""
    try:
        with open_source(path, limits.config_bytes) as file:
            config = json.loads(read_bytes(file, limits.config_bytes))
    except Unreadable as problem:
        return rejected([problem.reason])
    except (ValueError, RecursionError) as error:
        return rejected(
            [Reason("config_not_json", f"{path.name} is not valid JSON: {quoted(str(error))}")]
        )
    if not isinstance(config, dict):
        return rejected([Reason("config_not_json", f"{path.name} is not a JSON object")])
    return config


def copy_adapter(
    folder: Path, target: Path, *, roots: tuple[Path, ...], limits: Limits
) -> Rejected | None:
    """Copies config and weights into `target`, each exactly as it was at one moment. None when both
    were copied.

    Of weights with a broken header the copy has only that header and the size, which tell what is
    wrong with it. Errors of reading are reasons, and so is too little room; errors of writing are
    raised as OSError.
    """
    reasons = []
    for name, limit, copy in (
        (CONFIG_FILE, limits.config_bytes, _copy),
        (WEIGHTS_FILE, limits.weights_bytes, _copy_weights),
    ):
        try:
            with open_source(folder / name, limit, roots=roots) as source:
                copy(source, target / name, limits, limit)
        except Unreadable as problem:
            reasons.append(problem.reason)
    return rejected(reasons) if reasons else None


def _copy(source: BinaryIO, target: Path, limits: Limits, limit: int) -> None:
    before = os.fstat(source.fileno())
    with target.open("xb") as copy:
        while chunk := read_bytes(source, min(_CHUNK, limit + 1 - copy.tell())):
            copy.write(chunk)
        _check_unchanged(source, before, copy.tell())


def _copy_weights(source: BinaryIO, target: Path, limits: Limits, limit: int) -> None:
    before = os.fstat(source.fileno())
    if _has_header(source, limits):
        _check_room(target, before.st_size)
        _copy(source, target, limits, limit)
        return
    with target.open("xb") as copy:
        copy.write(read_bytes(source, min(LENGTH_BYTES + limits.header_bytes, before.st_size)))
        copy.truncate(before.st_size)
    _check_unchanged(source, before, before.st_size)


def _has_header(source: BinaryIO, limits: Limits) -> bool:
    try:
        header = read_header(source, max_bytes=limits.header_bytes)
        source.seek(0)
    except OSError as error:
        raise io_problem(error) from error
    return not isinstance(header, Rejected)


def _check_room(target: Path, size: int) -> None:
    free, needed = (
        shutil.disk_usage(target.parent).free,
        2 * size,
    )  # the copy, and what becomes of it
    if free < needed:
        raise Unreadable(
            "store_full",
            f"{target.name} of {size} bytes needs {needed} to be stored; {free} are free",
        )


@contextmanager
def open_source(
    path: Path, limit: int, *, roots: tuple[Path, ...] = _ANYWHERE
) -> Iterator[BinaryIO]:
    """Raises Unreadable when `path` is no regular file of at most `limit` bytes inside `roots`."""
    try:
        # A FIFO without a writer would block a plain open for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _open_problem(path, error) from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Unreadable("special_file", f"{path.name} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        # Asked of the open file, so that a link changed between check and open is seen.
        real = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not any(real.is_relative_to(root) for root in roots):
            raise Unreadable(
                "link_outside", f"{path.name} is a link that leaves the adapter directory"
            )
        if status.st_size > limit:
            raise Unreadable(
                "file_too_large", f"{path.name} has {status.st_size} bytes; the limit is {limit}"
            )
        yield file


def _open_problem(path: Path, error: OSError) -> Unreadable:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return _read_problem(path.name, error)
    if not path.parent.is_dir():
        return Unreadable("vanished", "the folder is not there, or vanished while it was read")
    if path.name == CONFIG_FILE:
        return Unreadable("config_missing", f"there is no {CONFIG_FILE}")
    for pickle in _PICKLES:
        if (path.parent / pickle).exists():
            return Unreadable(
                "pickle",
                f"{pickle} can run code when it is read; save the adapter as {WEIGHTS_FILE}",
            )
    return Unreadable("weights_missing", f"there is no {WEIGHTS_FILE}")


def read_bytes(file: BinaryIO, count: int) -> bytes:
    """Like `file.read`, with Unreadable for a failing disk, so that OSError can only mean the other
    side's writing.
    """
    try:
        return file.read(count)
    except OSError as error:
        raise io_problem(error) from error


def io_problem(error: OSError) -> Unreadable:
    """What a failing disk is to the reader of an adapter."""
    return _read_problem("a file", error)


def _read_problem(what: str, error: OSError) -> Unreadable:
    """Permissions, link loops and sockets are facts of the folder; anything else (no descriptors, a
    disk that is away) may pass without a change of the folder."""
    lasting = error.errno in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV)
    return Unreadable(
        "unreadable" if lasting else "read_failed", f"{what} cannot be read: {error.strerror}"
    )


def _check_unchanged(file: BinaryIO, before: os.stat_result, copied: int) -> None:
    after = os.fstat(file.fileno())
    if copied != before.st_size or (before.st_size, before.st_mtime_ns) != (
        after.st_size,
        after.st_mtime_ns,
    ):
        raise Unreadable("changed_while_read", "the folder is still being written")
