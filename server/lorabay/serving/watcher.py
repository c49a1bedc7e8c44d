"""Wakes the reconciler when the adapter directory changes. It says only "look again", never what
changed.

Watched are the directory and the folders in it, each by itself: what lies deeper, or behind a link
that leads out, is no adapter's, and may be as large as a disk. Native events come through
watchfiles, in a thread; where they do not (network file systems, exhausted watches), the
reconciler's own timer is what remains, and the watch is tried again.
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

logger = structlog.get_logger(__name__)

DEBOUNCE_MS = 50
STEP_MS = 20
BEGUN_MS = 200
"""So long after a watch has begun, what happened before it is looked for."""
RETRY_S, LONGEST_RETRY_S = 1.0, 60.0

_Places = dict[str, tuple[int, int]]
"""Folders to watch, and the device and inode of each: another folder under the same name is watched
anew.
"""


async def watch(
    root: Path, wake: Callable[[], None], roots: tuple[Path, ...] = (), *, retry_s: float = RETRY_S
) -> None:
    """Call `wake` soon after each change in `root` or in a folder in it, until cancelled.

    A folder may be a link that stays inside `root` or `roots`.
    """
    changed = partial(asyncio.get_running_loop().call_soon_threadsafe, wake)
    stop = threading.Event()
    pause_s, trouble = retry_s, ""
    try:
        while True:
            try:
                await asyncio.to_thread(_follow, root, roots, changed, stop)
                pause_s, trouble = retry_s, ""
            except (OSError, RuntimeError) as error:
                if str(error) != trouble:
                    trouble = str(error)
                    logger.warning(
                        "no native events for the adapter directory; polling",
                        root=str(root),
                        reason=trouble,
                    )
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_RETRY_S)
    finally:
        stop.set()


def _follow(
    root: Path, roots: tuple[Path, ...], changed: Callable[[], object], stop: threading.Event
) -> None:
    """Watch until there are other folders than before."""
    places = _places(root, roots)
    events = watchfiles.watch(
        *(str(root), *places),
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
    itself = _identity(root.stat())
    has_begun = False
    for changes in events:
        if not has_begun or changes:
            has_begun = True
            changed()
            if _places(root, roots) != places:
                return
        if _identity(root.stat()) != itself:
            return


def _places(root: Path, roots: tuple[Path, ...]) -> _Places:
    allowed = tuple(path.resolve() for path in (root, *roots))
    places: _Places = {}
    with os.scandir(root) as listing:
        for entry in listing:
            # A folder that cannot be looked at, or is gone by now, is the next look's business.
            with suppress(OSError):
                if (
                    not entry.name.startswith(".")
                    and entry.is_dir()
                    and stays_inside(entry, allowed)
                ):
                    places[entry.path] = _identity(entry.stat())
    return places


def _identity(folder: os.stat_result) -> tuple[int, int]:
    return folder.st_dev, folder.st_ino
