"""Planted personal data, fewer of each kind than in a measurement."""

from __future__ import annotations

import pytest

from lorabay.data.deidentify.deidentifier import Deidentifier
from lorabay.data.deidentify.replacing import tag
from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.table import RECOGNISERS
from tests.data.deidentify.planted import ZH, changed_harmless, measured

COUNT = 120
SOFT = {"NAME", "ADDRESS"}


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("kind", list(ZH))
def test_what_was_planted_is_found(kind: str, language: str) -> None:
    """Nearly all of it, and nearly nothing else."""
    tally = measured(Finder(RECOGNISERS), kind, language, COUNT)
    least = 0.9 if kind in SOFT else 0.99
    assert tally.found >= least * tally.there
    assert tally.right >= 0.98 * tally.findings


def test_harmless_numbers_stay() -> None:
    """Orders, tickets, prices, dates, versions."""
    assert changed_harmless(Deidentifier(Finder(RECOGNISERS), tag), 200) <= 2
