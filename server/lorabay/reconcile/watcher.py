"""Wakes the reconciler when the adapter directory changes. It says only "look again", never what
changed.

The directory and each folder in it are watched, one by one. Whatever lies deeper, or behind a link
that leads out, belongs to no adapter and may be as large as a disk. Native events come through
watchfiles, in a thread. Where there are none (network file systems, exhausted watches), the
reconciler's own timer remains, and the watch is tried again, whatever made it fail. Nothing waits
for a thread whose file system does not answer.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog
import watchfiles

from lorabay.catalog.discovery import stays_inside
from lorabay.files.daemon_threads import DaemonThreads

logger = structlog.get_logger(__name__)

DEBOUNCE_MS = 50
"""How long watchfiles gathers changes before it reports them."""

STEP_MS = 20
"""How long it waits for a further change before it reports the gathered ones early."""

BEGUN_MS = 200
"""How long after its begin a watch looks for changes that happened before it."""

RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
"""First and longest pause before a watch that failed is tried again."""

Identity = tuple[int, int]
"""Device and inode of a folder: another folder under the same name has another one."""


async def watch(
    root: Path, wake: Callable[[], None], roots: tuple[Path, ...] = (), *, retry_s: float = RETRY_S
) -> None:
    """Call `wake` soon after each change in `root` or in a folder in it, until cancelled.

    A folder may be a link that stays inside `root` or `roots`.
    """
    wake_loop = partial(asyncio.get_running_loop().call_soon_threadsafe, wake)
    stop = threading.Event()
    pause_s, trouble = retry_s, ""
    threads = DaemonThreads("lorabay-watch")
    try:
        while True:
            begun = threading.Event()
            try:
                await threads.begin(_follow, root, roots, wake_loop, begun, stop)
                pause_s, trouble = retry_s, ""
            except Exception as error:  # noqa: BLE001 - whatever it is, only the events are missing
                if repr(error) != trouble:  # the same one is logged once
                    trouble = repr(error)
                    logger.warning(
                        "no native events for the adapter directory; polling",
                        root=ascii(str(root)),
                        reason=trouble,
                    )
                # A watch that worked until now is likely to work again.
                pause_s = retry_s if begun.is_set() else pause_s
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)
    finally:
        stop.set()  # the thread outlives a cancelled wait for it


def _follow(
    root: Path,
    roots: tuple[Path, ...],
    wake: Callable[[], object],
    begun: threading.Event,
    stop: threading.Event,
) -> None:
    """Watch the folders that are there now; return when there are others. Sets `begun`."""
    folders = _folders(root, roots)
    events = watchfiles.watch(
        *(str(root), *folders),
        watch_filter=None,  # watchfiles' own passes over folders below `.venv` and its like
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=BEGUN_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        recursive=False,
        ignore_permission_denied=True,
    )

    root_identity = _identity(root.stat())
    for changes in events:
        # The first time without changes too: something may have changed before the watch began.
        if not begun.is_set() or changes:
            begun.set()
            wake()
            if _folders(root, roots) != folders:
                return

        # No event says that another directory has taken the root's place.
        if _identity(root.stat()) != root_identity:
            return


def _folders(root: Path, roots: tuple[Path, ...]) -> dict[str, Identity]:
    """Return the folders in `root` that may hold adapters, by path.

    A name that is no text is never an adapter's, and watchfiles cannot watch it.
    """
    allowed = tuple(path.resolve() for path in (root, *roots))
    folders: dict[str, Identity] = {}
    with os.scandir(root) as listing:
        for entry in listing:
            if entry.name.startswith(".") or not _is_text(entry.name):
                continue
            # A folder that is gone by now, or may not be read, is left to the next look.
            with suppress(OSError):
                if entry.is_dir() and stays_inside(entry, allowed):
                    folders[entry.path] = _identity(entry.stat())
    return folders


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _identity(folder: os.stat_result) -> Identity:
    return folder.st_dev, folder.st_ino
