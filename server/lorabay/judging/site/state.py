"""Where a judge stands, as the page gets it: the next two answers, and how many are done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.judging.blind_set import BlindSet
    from lorabay.judging.sheets import Sheet
    from lorabay.judging.votes import VoteBook


def next_place(sheet: Sheet, book: VoteBook) -> int | None:
    """Return the first place of a sheet without a vote; None if all have one."""
    votes = book.of(sheet.judge)
    places = range(len(sheet.showings))
    return next((place for place in places if place not in votes), None)


def state_of(blind_set: BlindSet, book: VoteBook, sheet: Sheet) -> dict[str, Any]:
    """Return the state as values that JSON can hold; no alias is among them."""
    place = next_place(sheet, book)
    return {
        "judge": sheet.judge,
        "done": len(book.of(sheet.judge)),
        "total": len(sheet.showings),
        "showing": None if place is None else _showing(blind_set, sheet, place),
    }


def _showing(blind_set: BlindSet, sheet: Sheet, place: int) -> dict[str, Any]:
    showing = sheet.showings[place]
    pair = blind_set.pairs[showing.pair]
    return {
        "place": place,
        "messages": pair.question.messages(),
        "left": pair.answers[showing.left],
        "right": pair.answers[showing.right],
    }
