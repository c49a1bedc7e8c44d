"""Virtual token counters: what each member of a group has used, in proportion to its weight.

Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024), algorithm 2, with a cost that
is guessed first and corrected at the end (section 4.4). Whoever waits with the lowest counter goes
next. Whoever comes after a while is lifted to the lowest counter among those that wait; if nobody
does, to that of the last one that went. So a member gains nothing by having slept.

Pure. Knows nothing of what the members are, nor of time.
"""

from __future__ import annotations

from collections.abc import Collection

KEPT = 4_096
"""Members that are remembered at least; the lowest of the others are forgotten: they would be
lifted, as somebody new is.
"""


class TokenCounters:
    """The counters of one group, by the names of its members."""

    def __init__(self, kept: int = KEPT) -> None:
        self._used: dict[str, float] = {}
        self._last: str | None = None
        self._last_used = 0.0
        self._kept = kept

    def of(self, name: str) -> float:
        """Return the counter of a member, in tokens of weight 1; 0 for one that is not known."""
        return self._used.get(name, 0.0)

    def lift(self, name: str, waiting: Collection[str]) -> None:
        """Lift the counter of a member that begins to wait beside `waiting`, who wait already."""
        level = min(map(self.of, waiting)) if waiting else self._level_of_last()
        self._used[name] = max(self.of(name), level)
        if len(self._used) > 2 * self._kept:
            self._forget({*waiting, name})

    def go(self, name: str, cost: float, weight: float) -> None:
        """Charge a member whose request goes now with what that will probably cost."""
        self.charge(name, cost, weight)
        self._last = name

    def charge(self, name: str, cost: float, weight: float) -> None:
        """Charge a member, or give back what was charged too much, if `cost` is below 0.

        One that was forgotten meanwhile stays so.
        """
        if name in self._used:
            self._used[name] += cost / weight

    def _level_of_last(self) -> float:
        if self._last is not None:
            self._last_used = self._used.get(self._last, self._last_used)
        return self._last_used

    def _forget(self, needed: Collection[str]) -> None:
        """Forget those with the lowest counters, but for the `needed` ones."""
        self._level_of_last()
        idle = sorted((name for name in self._used if name not in needed), key=self.of)
        for name in idle[: -self._kept]:
            del self._used[name]
