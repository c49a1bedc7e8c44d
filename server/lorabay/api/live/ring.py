"""The last hour in memory: a ring of spans of ten seconds, by adapter, tenant and key.

A request counts in the span in which it ends. One process has one ring, on its event loop. Knows
nothing of where the figures come from.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from lorabay.api.live.sums import Sums, told

if TYPE_CHECKING:
    from lorabay.accounts.usage.records import UsageRecord

SPAN_S = 10
KEPT = 360
"""Spans that are kept: an hour."""

MOST = 100
"""Adapters, tenants or keys that a span tells apart; further ones share a sum."""

OTHER = "__other__"

SHOWN = 12
"""Adapters, tenants or keys of a span that whoever follows is told, those with most tokens."""


class By(StrEnum):
    """What figures are told apart by."""

    ADAPTER = "adapter"
    TENANT = "tenant"
    KEY = "key"


class Span:
    """Ten seconds. `began` is in seconds since 1970; `gauges` are as they were at its end."""

    def __init__(self, began: int) -> None:
        self.began = began
        self.all = Sums()
        self.groups: dict[By, dict[str, Sums]] = {by: {} for by in By}
        self.gauges: Mapping[str, float | None] = {}

    def add(self, record: UsageRecord) -> None:
        """Count one request that has ended."""
        names = {By.ADAPTER: record.adapter, By.TENANT: record.tenant, By.KEY: record.key}
        sums = [self.all, *(self._group(by, name) for by, name in names.items())]
        for one in sums:
            one.add(
                code=record.code,
                tokens=record.generated_tokens,
                first_token_ms=record.first_token_ms,
            )

    def _group(self, by: By, name: str) -> Sums:
        groups = self.groups[by]
        if name not in groups and len(groups) >= MOST:
            name = OTHER
        return groups.setdefault(name, Sums())

    def as_json(self) -> dict[str, Any]:
        """Return the span for whoever follows, with its largest groups alone."""
        return {
            "at": self.began,
            "seconds": SPAN_S,
            "all": told([self.all], SPAN_S),
            "gauges": dict(self.gauges),
            "by": {str(by): self._largest(by) for by in By},
        }

    def _largest(self, by: By) -> dict[str, Any]:
        ordered = sorted(self.groups[by].items(), key=lambda item: item[1].tokens, reverse=True)
        return {name: told([sums], SPAN_S) for name, sums in ordered[:SHOWN]}


class Ring:
    """The spans of the last hour, oldest first, and the one that goes on."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ended: deque[Span] = deque(maxlen=KEPT)
        self._now = Span(self._start())
        self.gauges: Callable[[], Mapping[str, float | None]] = dict
        """Called at the end of each span, for what is measured and not counted."""

    def _start(self) -> int:
        return int(self._clock()) // SPAN_S * SPAN_S

    def add(self, record: UsageRecord) -> None:
        """Count a request that has ended."""
        self.turn()
        self._now.add(record)

    def turn(self) -> Span | None:
        """Begin a new span if it is time, and return the one that has ended, if one has."""
        start = self._start()
        if start < self._now.began - SPAN_S:
            # The clock was set back: what is dated later would hide all that comes now.
            self._ended.clear()
            self._now = Span(start)
        if start <= self._now.began:
            return None

        ended = self._now
        ended.gauges = self.gauges()
        self._ended.append(ended)
        self._now = Span(start)
        return ended

    def ended(self, since: int = 0) -> Iterator[Span]:
        """Return the spans that have ended, oldest first; those that began after `since`."""
        yield from (span for span in tuple(self._ended) if span.began > since)

    def totals(self, by: By, seconds: int) -> dict[str, dict[str, Any]]:
        """Return the sums of the last seconds, by name; a span counts as a whole."""
        first = self._clock() - seconds
        parts: dict[str, list[Sums]] = {}
        for span in (*self._ended, self._now):
            if span.began + SPAN_S > first:
                for name, sums in span.groups[by].items():
                    parts.setdefault(name, []).append(sums)
        return {name: told(sums, seconds) for name, sums in parts.items()}


async def turn_on(ring: Ring) -> None:
    """Begin each span in its time, also when nobody asks anything, until cancelled."""
    while True:
        await asyncio.sleep(SPAN_S / 2)
        ring.turn()
