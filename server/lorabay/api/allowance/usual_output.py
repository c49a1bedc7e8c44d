"""How long an adapter's answers usually are: 19 of 20 of the last ones were not longer."""

from __future__ import annotations

from collections import OrderedDict, deque

FIRST_TOKENS = 256
"""What is taken for an adapter of which little is known."""

ENOUGH = 8
"""Answers from which on they are believed."""

REMEMBERED = 64
"""Answers that are remembered."""

ADAPTERS = 10_000
"""Adapters of which answers are remembered: names of mixtures may be new each time."""

QUANTILE = 0.95


class UsualOutput:
    """The usual length of each adapter's answers, in tokens."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, deque[int]] = OrderedDict()

    def of(self, adapter: str) -> int:
        """Return the tokens that an answer of `adapter` seldom passes."""
        last = self._last.get(adapter, ())
        if len(last) < ENOUGH:
            return FIRST_TOKENS
        return max(1, sorted(last)[int(QUANTILE * len(last))])

    def note(self, adapter: str, tokens: int) -> None:
        """Note the length of an answer."""
        self._last.setdefault(adapter, deque(maxlen=REMEMBERED)).append(tokens)
        self._last.move_to_end(adapter)
        if len(self._last) > ADAPTERS:
            self._last.popitem(last=False)
