"""The seam to whatever keeps the tallies of all servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from lorabay.accounts.ledger.periods import PRESENT
from lorabay.accounts.ledger.tally import Counter, Reply, Report

Reports = Mapping[Counter, Report]
Replies = Mapping[Counter, Reply]

Clock = Callable[[], float]
"""A function that returns seconds since 1970."""

SERVERS = Counter("servers", PRESENT, 0)
"""Counts nothing: its tally has an entry of each server that lives."""


class StoreGone(Exception):
    """The store does not answer, or not in time."""


class Store(Protocol):
    """Keeps a tally of each counter, and settles reports with them, each as a whole."""

    def settle(self, server: str, reports: Reports) -> Replies:
        """Settle the reports of a server, each by the store's own clock; see `tally.settle`.

        A report that fails may have been settled. Blocks; raises StoreGone.
        """
        ...
