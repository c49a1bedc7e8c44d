"""How people put adapters into a directory."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable
from pathlib import Path

_numbers = itertools.count()


def put(adapters: Path, name: str, source: Path) -> None:
    """Publish the adapter in `source` as `name`: copied under a hidden name, then renamed into
    place.
    """
    hidden = adapters / f".{name}-{next(_numbers)}"
    shutil.copytree(source, hidden)
    target = adapters / name
    if target.exists():
        target.rename(adapters / f".{name}-old-{next(_numbers)}")
    hidden.rename(target)


def overwrite(adapters: Path, name: str, source: Path) -> None:
    """Publish a new version file by file, as `rsync` does."""
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        part = adapters / name / f".{file}.part"
        shutil.copyfile(source / file, part)
        part.replace(adapters / name / file)


def remove(adapters: Path, name: str) -> None:
    """Delete an adapter's folder."""
    shutil.rmtree(adapters / name)


def eventually(condition: Callable[[], bool], what: str, seconds: float = 120.0) -> float:
    """Wait, at most `seconds`, until a condition of the running server holds; gives how long it
    took.
    """
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.02)
    return time.monotonic() - started
