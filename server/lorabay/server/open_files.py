"""How many files the process may have open, and how many of them may be connections.

A process that has none left can accept nobody, and cannot write its store or start an engine.
"""

from __future__ import annotations

import resource

from lorabay.errors import UsageError

ENOUGH_FILES = 65_536
"""More than a server needs. Programs that close every file that they might have take long with the
millions that some hosts allow.
"""

DEFAULT_CONNECTIONS = 10_000


def raise_limit() -> int:
    """Raise the soft limit of open files towards the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ENOUGH_FILES

    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if wanted <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft  # some sandboxes forbid it
    return wanted


def connections_of(files: int, wanted: int | None) -> int:
    """Return how many connections a server takes that may open `files`.

    Half of the files are left to everything else. Raises UsageError if `wanted` is more than that.
    """
    at_most = max(1, files // 2)
    if wanted is None:
        return min(at_most, DEFAULT_CONNECTIONS)

    if wanted > at_most:
        raise UsageError(
            f"max_connections is {wanted}, and the process may open {files} files: "
            f"raise that limit to {2 * wanted} (`ulimit -n`), or take at most {at_most}"
        )
    return wanted
