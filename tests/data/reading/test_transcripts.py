"""Chat transcripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.reading import transcripts
from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import TextFile

CHATS = """Customer: where is my parcel?
It is late.
Agent 7: It left
today: see the link.

Customer: thanks
Agent: You are welcome.
---
[2026-11-02 10:15] 客户：怎么退货？
[2026-11-02 10:16:30] 客服：请点击“我的订单”。


Q: why?
A: so.
"""


def _read(path: Path, text: str) -> list[Record | Broken]:
    path.write_text(text, encoding="utf-8")
    with TextFile(path, 1000) as file:
        return list(transcripts.read(file))


def test_conversations_have_their_turns(tmp_path: Path) -> None:
    """Dashes and two empty lines end one; a line without a speaker goes on."""
    read = _read(tmp_path / "a", CHATS)
    talks = [record.fields["messages"] for record in read if isinstance(record, Record)]
    assert [record.number for record in read] == [1, 9, 13]
    assert [turn["role"] for turn in talks[0]] == ["user", "assistant"] * 2
    assert talks[0][0]["content"] == "where is my parcel?\nIt is late."
    assert talks[0][1]["content"] == "It left\ntoday: see the link."
    assert [turn["content"] for turn in talks[1]] == ["怎么退货？", "请点击“我的订单”。"]
    assert len(talks[2]) == 2


def test_what_nobody_says_is_broken(tmp_path: Path) -> None:
    """Lines before the first speaker, each by its number."""
    read = _read(tmp_path / "a", "Ticket 5\n\nUser: a\nBot: b\n")
    assert [(type(record), record.number) for record in read] == [(Broken, 1), (Record, 3)]


@pytest.mark.parametrize(
    ("line", "spoken"),
    [
        ("USER: hi", ("user", "hi")),
        ("10:15 Agent: yes", ("assistant", "yes")),
        ("(2026/11/02 9:05 PM) Support: ok", ("assistant", "ok")),
        ("答：好的", ("assistant", "好的")),
        ("Note: read this", None),
        ("see http://user", None),
        ("no colon", None),
    ],
)
def test_a_line_begins_with_who_speaks(line: str, spoken: tuple[str, str] | None) -> None:
    """After a time, if there is one; other words before a colon are text."""
    assert transcripts.speaker_of(line) == spoken
