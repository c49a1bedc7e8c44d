"""Where a judge stands: the first place without a vote, and what is shown there."""

from __future__ import annotations

from pathlib import Path

from lorabay.judging.blind_set import VOTES_FOLDER, read_blind_set
from lorabay.judging.site.state import next_place, state_of
from lorabay.judging.votes import Choice, VoteBook
from tests.judging.answered import blind_folder


def test_a_state_is_the_sheets_next_showing(tmp_path: Path) -> None:
    """Texts stand on the sides that the sheet says; a gap comes before what follows it."""
    folder = blind_folder(tmp_path / "blind", 3)
    blind_set, book = read_blind_set(folder), VoteBook(folder / VOTES_FOLDER)
    sheet = blind_set.sheets[1]
    for place in (0, 2):
        book.cast("ben", place, Choice.LEFT)

    assert next_place(sheet, book) == 1
    pair = blind_set.pairs[sheet.showings[1].pair]
    assert state_of(blind_set, book, sheet) == {
        "judge": "ben",
        "done": 2,
        "total": 3,
        "showing": {
            "place": 1,
            "messages": pair.question.messages(),
            "left": pair.answers[sheet.showings[1].left],
            "right": pair.answers[sheet.showings[1].right],
        },
    }

    book.cast("ben", 1, Choice.TIE)
    assert next_place(sheet, book) is None
    assert state_of(blind_set, book, sheet)["showing"] is None
    book.close()
