"""Wakes the reconciler when the adapter directory changes. It says only "look again", never what changed.

Native events come through watchfiles; where they do not (network file systems, exhausted watches), the reconciler's
own timer is what remains.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog
from watchfiles import awatch

logger = structlog.get_logger(__name__)

DEBOUNCE_MS = 50
STEP_MS = 20


async def watch(root: Path, wake: Callable[[], None]) -> None:
    """Call `wake` soon after each change below `root`, until cancelled."""
    try:
        # No filter: watchfiles' own passes over folders below `.venv` and its like.
        async for _ in awatch(root, watch_filter=None, debounce=DEBOUNCE_MS, step=STEP_MS):
            wake()
    except (OSError, RuntimeError) as error:
        logger.warning("no native events for the adapter directory; polling", root=str(root), reason=str(error))
