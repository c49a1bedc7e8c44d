"""The first compilation of a base: by a helper process, while this one answers uncompiled.

`FirstCompilation` says how far it is. When the helper has ended, the code that it left is loaded in
a thread, and taken into use between two steps. Every change happens in `advance`, which the
engine's loop calls between steps when the server asks; until somebody asks, nothing changes.
Whatever goes wrong, the base goes on uncompiled. Knows nothing of models or compilers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from typing import Any, Protocol

LIMIT_S = 3600.0
"""Longest compilation: a base of 80 layers on two busy cores needs a part of it."""

logger = logging.getLogger(__name__)


class Stage(StrEnum):
    """How far the compilation is."""

    COMPILING = "compiling"
    """The helper runs."""

    LOADING = "loading"
    """The helper has ended well; what it left is being loaded."""

    DONE = "done"
    """The next step is compiled."""

    FAILED = "failed"
    """The base stays uncompiled until the next start."""


class Helper(Protocol):
    """The process that compiles."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def ended(self) -> int | None:
        """Return the exit code; None while it runs."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class FirstCompilation:
    """One compilation, from the start of its helper on.

    `load` begins to load what the helper has left, and `take_over` puts the result into use.
    """

    def __init__(
        self,
        helper: Helper,
        load: Callable[[], Future[Any]],
        take_over: Callable[[Any], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._helper = helper
        self._load = load
        self._take_over = take_over
        self._clock = clock
        self._began = clock()
        self._loaded: Future[Any] | None = None
        self.stage = Stage.COMPILING
        self.reason = ""
        """Why the base stays uncompiled, if it does."""

    @property
    def pid(self) -> int | None:
        """The helper's process id while it runs: whoever waits for its end need not ask here."""
        return self._helper.pid if self.stage is Stage.COMPILING else None

    def advance(self) -> Stage:
        """Go as far as is possible without waiting, and return how far that is."""
        if self.stage is Stage.COMPILING:
            self._look_at_helper()
        if self.stage is Stage.LOADING:
            self._look_at_load()

        return self.stage

    def _look_at_helper(self) -> None:
        code = self._helper.ended()
        if code is None and self._clock() - self._began > LIMIT_S:
            self._helper.kill()
            self._fail(f"it was not compiled in {LIMIT_S:.0f} s")
        elif code == 0:
            self._loaded = self._load()
            self.stage = Stage.LOADING
        elif code is not None:
            self._fail(f"the compiling process ended with code {code}")

    def _look_at_load(self) -> None:
        assert self._loaded is not None  # noqa: S101
        if not self._loaded.done():
            return

        try:
            self._take_over(self._loaded.result())
        except Exception as error:
            logger.exception("the compiled base cannot be used")
            self._fail(f"the compiled code cannot be used: {type(error).__name__}")
        else:
            self.stage = Stage.DONE

    def _fail(self, reason: str) -> None:
        self.stage, self.reason = Stage.FAILED, reason
