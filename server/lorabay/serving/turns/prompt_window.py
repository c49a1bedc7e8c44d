"""The prompts that are in the engine and not read yet: few, so that the next one is read soon.

An engine reads prompts in the order in which they came, so many tokens a step. One that stands
behind many others there waits for all of them, whoever sent it; in front of the engine it is
decided who goes next. So no more are let in than keep the engine reading. Knows nothing of
requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEPS = 4
"""Steps for which the engine has something to read: some pass before anybody hears of the first."""


class PromptWindow:
    """The unread prompts of one engine, in tokens and in number.

    `reads` returns how many tokens of prompts it reads in a step, None while nobody knows. However
    long they are, `prompts` of them are let in: lengths are guessed, and some may be in the cache.
    """

    def __init__(self, prompts: int, reads: Callable[[], int | None]) -> None:
        self._fewest = prompts
        self._reads = reads
        self._tokens = 0
        self._prompts = 0

    def has_room(self) -> bool:
        """Return whether one more prompt may enter."""
        reads = self._reads()
        return reads is None or self._prompts < self._fewest or self._tokens < STEPS * reads

    def enter(self, tokens: int) -> None:
        """Note a prompt that goes to the engine."""
        self._tokens += tokens
        self._prompts += 1

    def leave(self, tokens: int) -> None:
        """Note that a prompt which has entered is read, or given up."""
        self._tokens -= tokens
        self._prompts -= 1
