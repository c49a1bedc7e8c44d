"""What the figures mean, in sentences: who is better, what is noise, and what to distrust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.judging.reporting.duels import ALPHA
from lorabay.judging.reporting.shares import votes_needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.judging.reporting.duels import Duel
    from lorabay.judging.reporting.shares import Share

USEFUL_VOTES = 5_000
"""More comparisons than this nobody collects to show a difference: it is as good as none."""


def finding(duel: Duel, duels: int = 1) -> str:
    """Return one sentence about two sets, one of so many duels that are looked at together."""
    share = duel.majorities
    decided = f"{share.part} of {share.total} decided pairs, {interval(share)}"
    if duel.winner == duel.first:
        return f"{duel.first} is better than {duel.second}: it won {decided}."
    if duel.winner == duel.second:
        return f"{duel.second} is better than {duel.first}, which won {decided}."
    if share.total == 0:
        return f"{duel.first} and {duel.second}: every pair is a tie."
    needed = _needed(share, duels)
    return f"{duel.first} against {duel.second} may be noise: it won {decided}. {needed}"


def warnings(
    asked: Mapping[str, int], done: Mapping[str, int], left: Share, longer: Share
) -> tuple[str, ...]:
    """Return what a reader should know before believing the rest."""
    found = [
        f"{judge} has voted on {done.get(judge, 0)} of {count} pairs"
        for judge, count in asked.items()
        if done.get(judge, 0) < count
    ]
    if left.p < ALPHA:
        found.append(
            f"the answer at the left won {percent(left.value)} of the decided votes: sides are "
            "balanced, but somebody may vote without reading"
        )
    if longer.p < ALPHA:
        which = "longer" if longer.part * 2 > longer.total else "shorter"
        of = longer.part if which == "longer" else longer.total - longer.part
        found.append(
            f"the {which} answer won {percent(of / longer.total)} of the decided votes: "
            "length may be what was judged"
        )
    return tuple(found)


def percent(value: float | None) -> str:
    """Return a share as people read it."""
    return "-" if value is None else f"{value:.0%}"


def interval(share: Share) -> str:
    """Return a share and its interval in percent."""
    return f"{percent(share.value)} [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _needed(share: Share, duels: int) -> str:
    needed = votes_needed(share, duels)
    if needed is None or needed > USEFUL_VOTES:
        return "No number of votes that anybody collects would show such a difference."
    return f"About {needed} decided pairs would show a difference of this size."
