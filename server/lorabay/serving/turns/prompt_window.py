"""The prompts that are in the engine and not read yet: few, so that the next one is read soon.

An engine reads prompts in the order in which they came, so many tokens a step. One that stands
behind many others there waits for all of them, whoever sent it; in front of the engine it is
decided who goes next. So no more are let in than keep the engine reading.

While all requests are of one flow nobody is held up, and whole steps full are let in: an engine
reads the prompts of many that begin together faster than a few at a time beside the first of them.
Knows nothing of requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.serving.engine import StepTokens

STEPS = 4
"""Steps for which the engine has something to read: some pass before anybody hears of the first."""


class PromptWindow:
    """The unread prompts of one engine, in tokens and in number.

    `reads` returns how many tokens of prompts it reads in a step, None while nobody knows. However
    long they are, `fewest` are let in: lengths are guessed, and some may be in the cache.
    """

    def __init__(self, fewest: int, reads: Callable[[], StepTokens | None]) -> None:
        self._fewest = fewest
        self._reads = reads
        self._tokens = 0
        self._prompts = 0
        self._streams = 0

    def has_room(self, *, is_shared: bool = True) -> bool:
        """Return whether one more prompt may enter, of an engine that flows share or not."""
        reads = self._reads()
        if reads is None or self._prompts < self._fewest:
            return True
        if not is_shared:
            return self._tokens < STEPS * max(reads.alone, reads.beside)

        most = STEPS * reads.beside
        if not self._streams:
            most = max(most, reads.alone)
        return self._tokens < most

    def enter(self, tokens: int) -> None:
        """Note a prompt that goes to the engine."""
        self._tokens += tokens
        self._prompts += 1

    def read(self, tokens: int) -> None:
        """Note that a prompt which has entered is read: its request is a stream from now on."""
        self._tokens -= tokens
        self._prompts -= 1
        self._streams += 1

    def end(self) -> None:
        """Note that a stream has ended."""
        self._streams -= 1
