"""The table of recognisers, on the sentences that were written by hand."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.table import RECOGNISERS
from tests.data.deidentify.hard import cases, tallies


def test_numbers_are_found_in_sentences_written_by_hand() -> None:
    """Every kind that is not a name or an address, in both languages."""
    found = tallies(Finder(RECOGNISERS), cases())
    numbers = [tally for (_, kind), tally in found.items() if kind not in {"NAME", "ADDRESS"}]
    assert sum(one.there for one in numbers) >= 40
    assert sum(one.found for one in numbers) >= 0.95 * sum(one.there for one in numbers)
    assert sum(one.right for one in numbers) >= 0.99 * sum(one.findings for one in numbers)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("kind", "recall"), [("NAME", 0.85), ("ADDRESS", 0.85)])
def test_names_and_addresses_are_found_in_sentences_written_by_hand(
    kind: str, recall: float, language: str
) -> None:
    """Most of them, and little else: 362 sentences of the kind that rules were tuned on."""
    known = [case for case in cases() if case.part != "unseen"]
    tally = tallies(Finder(RECOGNISERS), known)[language, kind]
    assert tally.found >= recall * tally.there
    assert tally.right >= 0.95 * tally.findings
