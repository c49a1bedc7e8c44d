"""A folder that is expensive to build and is there completely or not at all.

Owns the order of steps that makes this true: check, lock, check again, build under another name,
marker, fsync, rename. A builder that dies half-way leaves a folder that nothing takes for complete
and that the next builder removes; of two builders at once one builds and the other waits for it.
Does not know what it builds.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MARKER = "complete.json"


def build_once(folder: Path, revision: str, build: Callable[[Path], None]) -> Path:
    """Give `folder`, made by `build(empty folder)` if it is not there yet in this revision.

    Whatever `build` raises comes out of here, and nothing of its work stays.
    """
    if is_complete(folder, revision):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not is_complete(folder, revision):
            _build(folder, revision, build)
    return folder


def is_complete(folder: Path, revision: str) -> bool:
    """Whether `folder` was built to its end in this revision and none of its files is gone or cut
    short. Reads no file but the marker."""
    try:
        marker = json.loads((folder / MARKER).read_bytes())
        if marker["revision"] != revision:
            return False
        return all((folder / name).stat().st_size == size for name, size in marker["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _build(folder: Path, revision: str, build: Callable[[Path], None]) -> None:
    # One name is enough: only the holder of the lock builds, so what lies there belongs to a
    # builder that died.
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        build(building)
        _finish(building, revision)
        if folder.exists():
            shutil.rmtree(folder)
        building.replace(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _finish(building: Path, revision: str) -> None:
    files = sorted(path for path in building.rglob("*") if path.is_file())
    for path in files:
        path.chmod(
            0o644
        )  # safetensors writes 0600, but a server may run as another user than its installer
        _sync(path)
    sizes = {path.relative_to(building).as_posix(): path.stat().st_size for path in files}
    marker = building / MARKER
    marker.write_text(
        json.dumps({"revision": revision, "files": sizes}, indent=2) + "\n", encoding="utf-8"
    )
    _sync(marker)
    _sync(building)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
