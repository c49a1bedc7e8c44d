"""Files and folders that survive a kill: a reader sees the old state or the new one, never a part.

The pattern is the same everywhere. The content is made under a hidden name beside its place,
waited for until it is on disk, and renamed. What a kill leaves has a hidden name, which no reader
of this program looks for.

`write` and `replacing` make one file, `write_all` makes many, `building` makes a folder,
`new_folder` makes the folder that a user asked a tool for, and `build_once` makes a folder that
processes share. `append` makes a file longer, which no rename can do: its reader must know a whole
piece from a torn one (`append_log`). Whoever has much to wait for calls `write_out` first: what is
then waited for file by file is there already. This module does not know what the files hold.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import shutil
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING

from filelock import FileLock

from lorabay.errors import SetupError
from lorabay.files.real_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

MARKER = "complete.json"
"""File that `build_once` adds: the revision of a folder, and the size of each of its files."""


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Wait until everything below `folder` is on disk, and the names in it."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def write_out(place: Path) -> None:
    """Have the file system of `place` write whatever it has not written yet, in a few large writes.

    A head start for many waits, and no promise: some file systems do nothing here, and errors show
    when each file is waited for.
    """
    syncfs = _syncfs()
    if syncfs is None:
        return
    with suppress(OSError):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            syncfs(descriptor)
        finally:
            os.close(descriptor)


@cache
def _syncfs() -> Callable[[int], int] | None:
    """Return the C library's function, which Python does not offer; None where there is none."""
    return getattr(ctypes.CDLL(None), "syncfs", None)


def move(source: Path, target: Path) -> None:
    """Rename `source`, which is on disk, to `target`, and wait until the new name is on disk."""
    source.replace(target)
    sync(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Give two folders, which are on disk, the names of one another, in one step.

    Return False, with nothing done, where the system or the file system cannot. Raise OSError.
    """
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) != 0:
        number = ctypes.get_errno()
        if number in _NOT_KNOWN:
            return False
        raise OSError(number, os.strerror(number), str(one), None, str(other))

    sync(one.parent)
    sync(other.parent)
    return True


_HERE = -100
"""What `renameat2` takes for paths that begin at the present folder, as `open` does."""

_EXCHANGE = 2

_NOT_KNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int] | None:
    """Return the C library's function, which Python does not offer; None where there is none."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def append(descriptor: int, data: bytes) -> None:
    """Write `data` at the end of an open file, and wait until it is on disk. Raise OSError.

    After an error nobody knows how much of it is there.
    """
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def write(path: Path, content: bytes | str, *, lasting: bool = True) -> None:
    """Make `content` the content of the file at `path` in one step. Raise OSError.

    With `lasting` it also survives a power cut. Without, it survives a killed process only, and
    costs no wait for the disk.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, lasting=lasting) as partial:
        partial.write_bytes(data)


def write_all(folder: Path, contents: Mapping[str, str]) -> None:
    """Make texts the contents of the files of these names in `folder`, each in one step.

    They survive a power cut when this returns, and cost little more than one. Raise OSError, with
    some of them replaced, or none.
    """
    with ExitStack() as leftovers:
        partials: dict[str, Path] = {}
        for name, text in contents.items():
            partial = partials[name] = _partial(folder / name)
            leftovers.callback(_remove, partial)
            partial.write_bytes(text.encode())

        if len(partials) > 1:
            write_out(folder)
        for partial in partials.values():
            sync(partial)
        for name, partial in partials.items():
            partial.replace(folder / name)
        sync(folder)


@contextmanager
def replacing(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a hidden path beside `path`, whose file takes its place when the block ends.

    After an exception in the block `path` is as before, and the hidden file is gone. `lasting` is
    that of `write`.
    """
    partial = _partial(path)
    try:
        yield partial
        if lasting:
            sync(partial)
            move(partial, path)
        else:
            partial.replace(path)
    finally:
        _remove(partial)


def _partial(path: Path) -> Path:
    """Return the hidden path beside `path` at which its next content is written."""
    # The suffix is not .json or .safetensors: nothing that looks for an adapter's files may find
    # it. The next write by a process of this number replaces what a kill has left.
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _remove(partial: Path) -> None:
    with suppress(OSError):
        partial.unlink(missing_ok=True)


@contextmanager
def building(folder: Path, hidden: Path) -> Iterator[Path]:
    """Make the folder `hidden`, yield it, and rename it to `folder` when the block ends.

    `hidden` must be new, and on the same file system. `folder` must not exist, or be empty. An
    exception in the block leaves neither; a kill may leave `hidden`.
    """
    hidden.mkdir()
    try:
        yield hidden
        sync_tree(hidden)
        move(hidden, folder)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def new_folder(folder: Path, inputs: Iterable[Path]) -> Iterator[Path]:
    """Yield a hidden folder to write into, which becomes the new folder `folder`.

    Raise SetupError if `folder` lies inside one of `inputs`, holds something already, or cannot be
    written. OSErrors of the block count as the last.
    """
    target = real_path(folder)
    for source in inputs:
        if target.is_relative_to(real_path(source)):
            raise SetupError(
                f"the output folder {folder} lies inside {source}; choose another folder"
            )

    # A random name: in a container, the number of the process is the same in the next run, which
    # would meet what a kill has left.
    hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise SetupError(f"the output folder {folder} is there already; choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)

        with building(target, hidden) as made:
            yield made
    except OSError as error:
        raise SetupError(
            f"the output folder {folder} cannot be written: {error.strerror or error}"
        ) from error


def build_once(folder: Path, revision: str, build: Callable[[Path], None]) -> Path:
    """Return `folder`, filled by `build(empty folder)` unless it is complete in this revision.

    Of several processes that call this at once, one builds and the others wait. Errors of `build`
    pass through and leave nothing.
    """
    if is_complete(folder, revision):
        return folder

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        # Another process may have built it while this one waited for the lock.
        if not is_complete(folder, revision):
            _build(folder, revision, build)
    return folder


def is_complete(folder: Path, revision: str) -> bool:
    """Return whether `folder` was built in this revision and still has all its files in full size.

    Reads the marker only.
    """
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        if marker["revision"] != revision:
            return False
        return all((folder / name).stat().st_size == size for name, size in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _build(folder: Path, revision: str, build: Callable[[Path], None]) -> None:
    # One fixed name is enough: only the holder of the lock builds, so whatever lies there belongs
    # to a builder that was killed.
    hidden = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(hidden, ignore_errors=True)

    with building(folder, hidden) as made:
        build(made)

        files = sorted(path for path in made.rglob("*") if path.is_file())
        for path in files:
            # safetensors writes 0600, but a server may run as another user than its installer.
            path.chmod(0o644)

        sizes = {path.relative_to(made).as_posix(): path.stat().st_size for path in files}
        marker = {"revision": revision, "files": sizes}
        (made / MARKER).write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")

        # A folder cannot be renamed over one that has files.
        if folder.exists():
            shutil.rmtree(folder)
