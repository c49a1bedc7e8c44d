"""What Ray reads of the environment, as this program wants it. Imports nothing of Ray."""

from __future__ import annotations

import os

WANTED = {
    # Ray tells its makers about each cluster, unless it is told not to.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Its workers give way to every other program, which starves an engine beside one.
    "RAY_worker_niceness": "0",
    # A thread of it that outlives the end of a cluster starts another one on this machine.
    "RAY_ENABLE_AUTO_CONNECT": "0",
}


def prepare() -> None:
    """Set what nobody has set; before Ray is imported, which reads some of it then."""
    for name, value in WANTED.items():
        os.environ.setdefault(name, value)
