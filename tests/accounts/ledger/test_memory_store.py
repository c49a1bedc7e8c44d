"""Tallies in memory."""

from __future__ import annotations

import time

import pytest

from lorabay.accounts.ledger.memory_store import MemoryStore, steady_clock
from lorabay.accounts.ledger.periods import MINUTE
from lorabay.accounts.ledger.tally import Counter, Entry, Report

TOKENS = Counter("key:k:tokens_per_minute", MINUTE, 100)


def test_a_clock_that_is_set_moves_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of day is read once."""
    clock = steady_clock()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock() > 1e9


def test_tallies_begin_as_they_are_made() -> None:
    """With what is said of others."""
    store = MemoryStore(lambda: 0.0, lambda counter: {"b": Entry(spent={0: counter.limit})})
    assert store.settle("a", {TOKENS: Report(needs=(1,))})[TOKENS].given == 0
