"""Sides and orders of the judges' sheets: balanced for each, over all, and for every two sets."""

from __future__ import annotations

import random
from collections import Counter
from itertools import combinations

import pytest

from lorabay.judging.pairing import Pair
from lorabay.judging.sheets import Sheet, deal_sheets
from tests.judging.answered import question


def pairs_of(count: int, sets: int) -> list[Pair]:
    return [
        Pair(
            f"p{first}{second}-{number}",
            question(number),
            {f"set-{first}": "a", f"set-{second}": "b"},
        )
        for first, second in combinations(range(sets), 2)
        for number in range(count)
    ]


def lefts(sheets: tuple[Sheet, ...]) -> Counter[tuple[str, str]]:
    """How often each alias was at the left of each other one."""
    return Counter((left, right) for sheet in sheets for _, left, right in sheet.showings)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("count", "sets", "judges"), [(40, 2, 2), (7, 2, 3), (5, 3, 4), (1, 2, 1)])
def test_sides_are_balanced(seed: int, count: int, sets: int, judges: int) -> None:
    """For each judge and every two sets to within one, and over all judges as well."""
    pairs = pairs_of(count, sets)
    names = [f"judge-{number}" for number in range(judges)]
    sheets = deal_sheets(pairs, names, random.Random(seed))

    for some in [*((sheet,) for sheet in sheets), sheets]:
        counted = lefts(some)
        for first, second in combinations(range(sets), 2):
            here, there = (f"set-{first}", f"set-{second}"), (f"set-{second}", f"set-{first}")
            assert abs(counted[here] - counted[there]) <= 1
    for sheet in sheets:
        assert Counter(showing.pair for showing in sheet.showings) == Counter(
            pair.id for pair in pairs
        )


def test_two_judges_see_each_pair_from_both_sides() -> None:
    """So a habit of a side costs no set anything."""
    sheets = deal_sheets(pairs_of(9, 2), ["anna", "ben"], random.Random(1))
    anna, ben = ({one.pair: one.left for one in sheet.showings} for sheet in sheets)
    assert all(anna[pair] != ben[pair] for pair in anna)


def test_orders_and_tokens_are_each_judges_own() -> None:
    """Tokens come from the system's randomness, not from the seed."""
    first, second = (
        deal_sheets(pairs_of(30, 2), ["anna", "ben"], random.Random(1)) for _ in range(2)
    )
    orders = {tuple(one.pair for one in sheet.showings) for sheet in first}
    assert len(orders) == 2
    assert [sheet.showings for sheet in first] == [sheet.showings for sheet in second]
    assert len({sheet.token for sheet in (*first, *second)}) == 4
    assert min(len(sheet.token) for sheet in first) >= 20
