"""Decides how long folders must be missing before they count as removed.

A folder that is missing was taken away by somebody, or is only out of sight: its volume is
unmounted, another directory is mounted over it, or a listing came back empty. The first is a wish,
and the name goes almost at once. The second is a fault, and nothing may follow from it: a name is
withheld from removal, its adapter is served on from the store, and all is well when the folder is
back.

What tells them apart is the directory that folders are missing from. Reads no file: the caller
looks, and passes what it found.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.root_identity import RootIdentity

REMOVAL_CONFIRM_S = 0.25
"""How long a folder must be missing before its name is removed.

Replacing a folder by two renames (`mv finance old; mv new finance`) leaves a moment without one.
"""


class DirectoryState(StrEnum):
    """Whether what is missing from the adapter directory was removed."""

    READY = "ready"
    EMPTY = "empty"
    """Every folder is gone at once."""
    REPLACED = "replaced"
    """Another directory lies where the folders were, or they come back one by one; some are
    missing.
    """
    UNMOUNTED = "unmounted"
    """Nothing is mounted any more where the folders were."""
    UNREADABLE = "unreadable"
    """It cannot be listed."""
    HANGING = "hanging"
    """Its file system does not answer."""


class Absences:
    """The folders that are missing, since when, and from which directory.

    `empty_root_s` is how long a directory must stay empty, or replaced, before that counts.
    """

    def __init__(self, empty_root_s: float, clock: Callable[[], float]) -> None:
        self._empty_root_s = empty_root_s
        self._clock = clock
        self._home: RootIdentity | None = None
        """The directory in which no folder was missing last, or whose absences counted."""
        self._since: dict[str, float] = {}
        self._withheld: set[str] = set()
        self._came_back_at = -math.inf
        self.state = DirectoryState.READY

    @property
    def withheld(self) -> frozenset[str]:
        """The names that have lost their folder and are not removed for it."""
        return frozenset(self._withheld)

    def observe(
        self, root: RootIdentity, present: Collection[str], expected: Collection[str]
    ) -> Mapping[str, float]:
        """Note what a look found; return the seconds until each missing folder counts as removed.

        `expected` are the names whose folders are to be there. A name that will not be removed as
        things are has infinite seconds.
        """
        now = self._clock()
        missing = {name for name in expected if name not in present}
        self._since = {name: self._since.get(name, now) for name in missing}
        if self._withheld - missing:
            self._came_back_at = now

        # Once withheld, a name stays so until it is back: a volume fills up again folder by folder.
        self._withheld &= missing
        found = self._judge(root, present, missing)
        if found is not DirectoryState.READY:
            self._withheld |= missing
        elif self._withheld:
            found = DirectoryState.REPLACED
        else:
            self._home = root
        self.state = found
        return {name: self._remaining(name, now) for name in missing}

    def interrupt(self, state: DirectoryState) -> None:
        """Note that a look found nothing out: what is missing is timed anew after it."""
        self.state = state
        self._since.clear()

    def _judge(
        self, root: RootIdentity, present: Collection[str], missing: set[str]
    ) -> DirectoryState:
        if not missing:
            return DirectoryState.READY
        if self._home is not None and root.is_left_by(self._home):
            return DirectoryState.UNMOUNTED

        # The last of several folders that go one by one is removed like the others; at the start
        # nothing is known of how they went.
        if not present and (self._home is None or root != self._home or len(missing) > 1):
            return DirectoryState.EMPTY
        if self._home is not None and root.replaces(self._home):
            return DirectoryState.REPLACED
        return DirectoryState.READY

    def _remaining(self, name: str, now: float) -> float:
        since = self._since[name]
        if name not in self._withheld:
            return since + REMOVAL_CONFIRM_S - now
        if self.state is DirectoryState.UNMOUNTED:
            return math.inf

        # As long as folders come back, the others may be on their way.
        since = max(since, self._came_back_at)
        return since + max(self._empty_root_s, REMOVAL_CONFIRM_S) - now
