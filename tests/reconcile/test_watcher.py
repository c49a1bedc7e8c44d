"""Native events of a real directory; these tests wait for the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import watchfiles
from structlog.testing import capture_logs

from lorabay.reconcile.watcher import watch
from tests.nobody import as_nobody

PATIENCE_S = 60.0


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
    await end(task)


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
    """Every kind of change of a folder in the root wakes."""
    change(watched.root)
    await watched.wakes()


async def test_a_folder_that_was_added_is_watched_too(watched: Watched) -> None:
    """A file that comes later into a new folder is noticed as well."""
    add(watched.root)
    await watched.ready()
    (watched.root / "shop" / "adapter_config.json").write_text("{}")
    await watched.wakes()


async def test_a_folder_in_place_of_another_is_watched(watched: Watched) -> None:
    """A folder that two renames put in another's place is watched too."""
    (watched.root / ".draft").mkdir()
    (watched.root / "finance").rename(watched.root / ".old")
    (watched.root / ".draft").rename(watched.root / "finance")
    await watched.ready()
    (watched.root / "finance" / "adapter_config.json").write_text("{}")
    await watched.wakes()


async def test_a_closed_folder_closes_no_other(tmp_path: Path) -> None:
    """A folder that may not be read (`lost+found`) is left out; the others are watched."""
    (tmp_path / "finance").mkdir()
    (tmp_path / "lost+found").mkdir(mode=0)
    watched = Watched(tmp_path)
    with as_nobody(tmp_path, tmp_path / "finance"):
        task = asyncio.create_task(watch(tmp_path, watched.woken.set))
        await watched.ready()
        (tmp_path / "finance" / "adapter_config.json").write_text("{}")
        await watched.wakes()
        await end(task)


async def test_a_name_that_is_no_text_silences_no_other(tmp_path: Path) -> None:
    """Such a folder cannot be watched and holds no adapter; events of the others come on."""
    (tmp_path / "finance").mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    watched = Watched(tmp_path)
    task = asyncio.create_task(watch(tmp_path, watched.woken.set))
    await watched.ready()
    (tmp_path / "finance" / "adapter_config.json").write_text("{}")
    await watched.wakes()
    # Its own event is one that watchfiles cannot tell of; each time the watch begins anew.
    for number in range(4):
        (tmp_path / os.fsdecode(b"\xff%d" % number)).mkdir()
        await watched.ready()
    (tmp_path / "finance" / "adapter_config.json").write_text("{ }")
    await watched.wakes()
    await end(task)


async def test_a_watch_that_fails_in_any_way_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it once; the watch begins anew when it can."""
    failing = True

    def stumble(*folders: str, **options: Any) -> Any:
        if failing:
            raise ZeroDivisionError("never mind")
        return really_watch(*folders, **options)

    really_watch = watchfiles.watch
    monkeypatch.setattr(watchfiles, "watch", stumble)
    watched = Watched(tmp_path)
    with capture_logs() as logged:
        task = asyncio.create_task(watch(tmp_path, watched.woken.set, retry_s=0.001))
        while not logged:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        failing = False
        await watched.ready()
    assert [line["log_level"] for line in logged] == ["warning"]
    assert "never mind" in logged[0]["reason"]
    await end(task)


async def test_links_are_followed_as_far_as_they_may_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change behind a link to an allowed root wakes; what a link to elsewhere leads to is not
    watched.
    """
    root, allowed, elsewhere = tmp_path / "adapters", tmp_path / "allowed", tmp_path / "elsewhere"
    for folder in (root, allowed, elsewhere):
        folder.mkdir()
    (root / "shop").symlink_to(allowed)
    (root / "away").symlink_to(elsewhere)
    asked: list[str] = []

    def note(*folders: str, **options: Any) -> Any:
        asked.extend(folders)
        assert not options["recursive"]
        return really_watch(*folders, **options)

    really_watch = watchfiles.watch
    monkeypatch.setattr(watchfiles, "watch", note)
    watched = Watched(root)
    task = asyncio.create_task(watch(root, watched.woken.set, (allowed,)))
    await watched.ready()
    assert set(asked) == {str(root), str(root / "shop")}
    (allowed / "adapter_config.json").write_text("{}")
    await watched.wakes()
    await end(task)


async def test_a_directory_that_is_away_is_watched_once_it_is_there(tmp_path: Path) -> None:
    """A root that is absent is watched once it exists; the log warns once until then."""
    root = tmp_path / "later"
    watched = Watched(root)
    with capture_logs() as logged:
        task = asyncio.create_task(watch(root, watched.woken.set, retry_s=0.01))
        for _ in range(1000):
            if logged:
                break
            await asyncio.sleep(0.01)
        root.mkdir()
        await watched.ready()
    assert [line["log_level"] for line in logged] == ["warning"]
    await end(task)


async def test_a_directory_in_place_of_another_is_watched(tmp_path: Path) -> None:
    """Another root in the place of the first is watched, also where both are empty."""
    root = tmp_path / "adapters"
    root.mkdir()
    watched = Watched(root)
    task = asyncio.create_task(watch(root, watched.woken.set))
    await watched.ready()
    for probe in root.iterdir():
        probe.unlink()
    root.rename(tmp_path / "old")
    root.mkdir()
    await watched.ready()
    (root / "finance").mkdir()
    await watched.wakes()
    await end(task)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
