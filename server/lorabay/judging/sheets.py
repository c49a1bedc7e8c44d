"""What each judge sees: the order of the pairs, and which answer is on which side.

Sides are balanced for each judge and each two sets, give or take one; and over two judges in a row
exactly, because the second sees each pair the other way round. Orders are dealt by chance, so a
place on the page says nothing of who answered.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from lorabay.judging.pairing import Pair

TOKEN_BYTES = 18


class Showing(NamedTuple):
    """One pair on the page of one judge: aliases of the answers at the left and at the right."""

    pair: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """All that one judge is asked, in order. The token is the judge's way in."""

    judge: str
    token: str
    showings: tuple[Showing, ...]


def deal_sheets(
    pairs: Sequence[Pair], judges: Sequence[str], chance: random.Random
) -> tuple[Sheet, ...]:
    """Return a sheet for each judge, who all compare the same pairs."""
    sheets = []
    flipped: dict[str, bool] = {}
    for number, judge in enumerate(judges):
        if number % 2:
            flipped = {pair: not is_flipped for pair, is_flipped in flipped.items()}
        else:
            flipped = _balanced(pairs, number // 2, chance)

        showings = [_showing(pair, flipped[pair.id]) for pair in pairs]
        chance.shuffle(showings)
        sheets.append(Sheet(judge, secrets.token_urlsafe(TOKEN_BYTES), tuple(showings)))
    return tuple(sheets)


def _balanced(pairs: Sequence[Pair], turn: int, chance: random.Random) -> dict[str, bool]:
    """Return for each pair whether its first alias is at the right; half of each two sets are.

    Of an odd number, the one too many goes to the other side in the next turn, and for the next two
    sets.
    """
    by_sets: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pair in pairs:
        by_sets[pair.aliases].append(pair.id)

    flipped: dict[str, bool] = {}
    for place, ids in enumerate(by_sets.values()):
        more = (len(ids) + (turn + place) % 2) // 2
        sides = [index < more for index in range(len(ids))]
        chance.shuffle(sides)
        flipped.update(zip(ids, sides, strict=True))
    return flipped


def _showing(pair: Pair, is_flipped: bool) -> Showing:
    first, second = pair.aliases
    return Showing(pair.id, second, first) if is_flipped else Showing(pair.id, first, second)
