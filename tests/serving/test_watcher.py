"""Native events of a real directory. The only tests here that wait for the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lorabay.serving.watcher import watch

PATIENCE_S = 20.0


class Watched:
    """A directory that is watched, once `ready`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.woken = asyncio.Event()

    async def ready(self) -> None:
        """Return when events arrive: a watch does not say when it has begun."""
        for number in range(1000):
            (self.root / f"probe-{number}").touch()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.woken.wait(), 0.05)
                break
        while self.woken.is_set():
            self.woken.clear()
            await asyncio.sleep(0.2)

    async def wakes(self) -> None:
        await asyncio.wait_for(self.woken.wait(), PATIENCE_S)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    # Watchfiles by itself passes over what lies below such a name.
    root = tmp_path / ".venv"
    (root / "finance").mkdir(parents=True)
    (root / "finance" / "adapter_config.json").write_text("{}")
    watched = Watched(root)
    task = asyncio.create_task(watch(root, watched.woken.set))
    await watched.ready()
    yield watched
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


def add(root: Path) -> None:
    (root / "shop").mkdir()


def rewrite(root: Path) -> None:
    (root / "finance" / "adapter_config.json").write_text('{"r": 8}')


def rename(root: Path) -> None:
    (root / "finance").rename(root / "legal")


def remove(root: Path) -> None:
    shutil.rmtree(root / "finance")


@pytest.mark.parametrize("change", [add, rewrite, rename, remove])
async def test_a_change_wakes(watched: Watched, change: Callable[[Path], object]) -> None:
    """Whatever happens to a folder below the root is noticed."""
    change(watched.root)
    await watched.wakes()


async def test_a_folder_that_was_added_is_watched_too(watched: Watched) -> None:
    """A file that comes later into a new folder is noticed as well."""
    add(watched.root)
    await watched.ready()
    (watched.root / "shop" / "adapter_config.json").write_text("{}")
    await watched.wakes()


async def test_a_directory_that_cannot_be_watched_is_left_to_the_timer(tmp_path: Path) -> None:
    """Without native events the watch ends with a warning instead of an error."""
    with capture_logs() as logged:
        await asyncio.wait_for(watch(tmp_path / "missing", lambda: None), PATIENCE_S)
    assert [line["log_level"] for line in logged] == ["warning"]
