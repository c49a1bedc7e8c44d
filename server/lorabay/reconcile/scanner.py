"""Looks at the adapter directory in threads, because a file system may not answer.

A look that waits too long for one folder (a link to a file server that is gone, say) is left
behind, and a new one passes that folder over until its file system answers; the other folders are
followed on. Only so many threads may be left behind. Where the directory itself does not answer,
nothing is known of any folder. Knows nothing of what is concluded from a look.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.catalog.discovery import scan
from lorabay.catalog.root_identity import identify
from lorabay.errors import SetupError
from lorabay.files.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.discovery import Candidate
    from lorabay.catalog.root_identity import RootIdentity

PATIENCE_S = 10.0
"""How long a look waits for one folder.

A file server that is busy or restarts answers within seconds; one that is gone never does.
"""

HANGING_AT_MOST = 4
"""Threads that may be left behind; each stays until its file system answers."""

TRIES = 3
"""Looks in one, if the directory is replaced in the middle of them."""

ITSELF = "."
"""Name of the directory itself among what does not answer."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: which directory it was, and the folders in it by name."""

    root: RootIdentity
    candidates: dict[str, Candidate]


class Scanner:
    """The looks at one directory; one at a time.

    `answered` is called when a file system that did not answer does so again.
    """

    def __init__(
        self,
        root: Path,
        roots: tuple[Path, ...],
        answered: Callable[[], object],
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._root = root
        self._roots = roots
        self._answered = answered
        self._patience_s = patience_s
        self._hanging: dict[str, asyncio.Future[Look]] = {}
        self._before: dict[str, Candidate] = {}
        """What the last look found; a left one never replaces it."""
        self._threads = DaemonThreads("lorabay-look")

    @property
    def hanging(self) -> frozenset[str]:
        """The folders that do not answer, by name; `ITSELF` for the directory."""
        return frozenset(self._hanging)

    @property
    def is_silent(self) -> bool:
        """True while the directory itself, or too many of its folders, do not answer."""
        return ITSELF in self._hanging or len(self._hanging) > HANGING_AT_MOST

    async def look(self, **facts: Any) -> Look:
        """Look at the directory once; `facts` are those of `scan`.

        Raises SetupError if it cannot be listed, or does not answer.
        """
        while True:
            if self.is_silent:
                raise SetupError(f"the adapter directory {self._root} does not answer")

            place = _Place()
            find = partial(
                _look,
                self._root,
                self._roots,
                place,
                hanging=self.hanging,
                before=self._before,
                **facts,
            )
            try:
                thread = self._threads.begin(find)
            except RuntimeError as error:
                raise SetupError(f"no thread to look at {self._root}: {error}") from error
            if await self._ends(thread, place):
                look = thread.result()
                self._before = look.candidates
                return look
            self._leave(place.name, thread)

    async def _ends(self, thread: asyncio.Future[Look], place: _Place) -> bool:
        """Return whether a look ends, in whatever time, as long as it gets on."""
        while not thread.done():
            before = place.number
            await asyncio.wait({thread}, timeout=self._patience_s)
            if not thread.done() and place.number == before:
                return False
        return True

    def _leave(self, name: str, thread: asyncio.Future[Look]) -> None:
        self._hanging[name] = thread

        def ended(thread: asyncio.Future[Look]) -> None:
            # Its result is old by now, and its failure was told.
            thread.cancelled() or thread.exception()
            del self._hanging[name]
            self._answered()

        thread.add_done_callback(ended)


class _Place:
    """Where a look is; written by its thread, read by the loop."""

    def __init__(self) -> None:
        self.name = ITSELF
        self.number = 0

    def move(self, name: str) -> None:
        self.name, self.number = name, self.number + 1


def _look(root: Path, roots: tuple[Path, ...], place: _Place, **facts: Any) -> Look:
    for _ in range(TRIES):
        before = identify(root)
        candidates = scan(root, roots=roots, asking=place.move, **facts)

        # Half of one directory and half of another would make folders vanish that are there.
        place.move(ITSELF)
        if identify(root) == before:
            return Look(before, candidates)
    raise SetupError(f"the adapter directory {root} is replaced over and over")
