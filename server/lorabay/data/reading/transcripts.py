"""Chat transcripts: lines that begin with who speaks and a colon, in English or Chinese.

    Customer: where is my parcel?
    Agent: It left our warehouse today.
    ---
    [2026-11-02 10:15] 客户：怎么退货？
    客服：请点击“我的订单”。

A line of dashes, equals signs, stars or number signs ends a conversation; so do two empty lines. A
line without a speaker goes on with what was said. The record has the turns as `messages`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.data.reading.records import Broken, Record
from lorabay.data.reading.text_file import BadLine
from lorabay.data.reasons import Code, Note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.data.reading.text_file import Line, TextFile

SPEAKERS: Mapping[str, str] = {
    **dict.fromkeys(
        ("user", "customer", "client", "caller", "visitor", "buyer", "question", "q", "human"),
        "user",
    ),
    **dict.fromkeys(("客户", "用户", "顾客", "买家", "访客", "问", "提问"), "user"),
    **dict.fromkeys(
        ("assistant", "agent", "support", "advisor", "operator", "bot", "seller", "answer", "a"),
        "assistant",
    ),
    **dict.fromkeys(("客服", "坐席", "助手", "卖家", "顾问", "机器人", "答", "回答"), "assistant"),
    **dict.fromkeys(("system", "系统"), "system"),
}
"""Who speaks, in lower case, and the role that this is."""

_TIME = r"(?:[\[(]?\d[\d:./ T-]{3,24}(?:Z|[AaPp][Mm])?[\])]?\s+)?"
_SPEAKER = re.compile(
    rf"\s*{_TIME}(?P<name>[^\W\d_]{{1,12}})(?:\s?\d{{1,3}})?\s*[:：]\s*(?P<text>.*)"
)
_END = re.compile(r"\s*([-=*#])\1{2,}\s*")


def speaker_of(line: str) -> tuple[str, str] | None:
    """Return the role and the words of a line that begins with a speaker; None for another."""
    match = _SPEAKER.fullmatch(line)
    if match is None:
        return None
    role = SPEAKERS.get(match["name"].lower())
    return None if role is None else (role, match["text"])


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield each conversation, numbered by the line that it begins on."""
    talk = _Conversation()
    for line in file.lines():
        if isinstance(line, BadLine):
            yield Broken(line.number, line.note)
        elif talk.ends_at(line):
            yield from talk.records()
            talk = _Conversation()
        else:
            talk.add(line)
    yield from talk.records()


class _Conversation:
    """The lines of one conversation so far."""

    def __init__(self) -> None:
        self._turns: list[dict[str, str]] = []
        self._number = 0
        self._empty = 0
        self._strays: list[int] = []
        self._notes: tuple[Note, ...] = ()

    def ends_at(self, line: Line) -> bool:
        """Return whether a line ends this conversation."""
        if line.text.strip():
            self._empty = 0
            return _END.fullmatch(line.text) is not None
        self._empty += 1
        return self._empty >= 2

    def add(self, line: Line) -> None:
        """Take a line as a turn, or as more of the turn before."""
        self._notes = self._notes or line.notes
        spoken = speaker_of(line.text)

        if spoken is not None:
            self._number = self._number or line.number
            self._turns.append({"role": spoken[0], "content": spoken[1]})
        elif self._turns:
            self._turns[-1]["content"] += f"\n{line.text}"
        elif line.text.strip():
            self._strays.append(line.number)

    def records(self) -> Iterator[Record | Broken]:
        """Yield the lines before the first speaker as broken, then the conversation."""
        for number in self._strays:
            yield Broken(number, Note(Code.BROKEN_LINE, "nobody says this"))
        if self._turns:
            turns = [turn | {"content": turn["content"].strip()} for turn in self._turns]
            yield Record(self._number, {"messages": turns}, self._notes)
