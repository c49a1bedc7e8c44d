"""Lines that say nothing of the matter: signatures of phones, notices of recording, set phrases.

A built-in list, and the lines of a file that a company keeps. A pattern is a regular expression for
a whole line, in any case. A text of nothing else becomes empty, and so shows up as such.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path

BUILT_IN = (
    r"sent from my [\w -]{2,30}",
    r"get outlook for \w+",
    r"(this (call|chat|conversation) (is|may be|might be) (being )?recorded|"
    r"calls? (are|may be) recorded)\b.{0,80}",
    r"(you are|you're) (now )?(connected|chatting) (to|with) .{1,40}",
    r".{1,40} (has )?(joined|left|entered) the (chat|conversation)\.?",
    r"(the )?(chat|conversation|session) (has )?(ended|started|was closed)\.?",
    r"(please )?(rate|take a moment to rate) (this|our|your) (chat|conversation|service).{0,60}",
    r"(this message is )?automatic(ally)? (reply|generated).{0,60}",
    r"发自我的.{1,20}",
    r"本次(通话|对话|服务)(可能)?(会|将)?被?录音.{0,30}",
    r"(您好[，,])?(人工)?客服.{0,12}为您服务[。！!]?",
    r".{0,20}已?(进入|离开|结束)(了)?(会话|对话|聊天)[。！!]?",
    r"请(您)?(对|为)(本次|我的)服务(进行)?(评价|评分).{0,30}",
    r"\[?(图片|表情|语音|视频|文件|image|sticker|voice message|attachment)\]?",
)
"""Patterns of lines that go."""


@dataclass(frozen=True, slots=True)
class Boilerplate:
    """The lines that go."""

    lines: re.Pattern[str]

    def without(self, text: str) -> str:
        """Return a text without such lines."""
        kept = [line for line in text.split("\n") if not self.lines.fullmatch(line.strip())]
        return "\n".join(kept)


def boilerplate(own: Path | None = None) -> Boilerplate:
    """Return the built-in patterns and those of a file, one a line; `#` begins a comment.

    Raises SetupError for a file that cannot be read, and names the line that is no pattern.
    """
    patterns = [*BUILT_IN, *(_own(own) if own is not None else ())]
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return Boilerplate(re.compile(joined, re.IGNORECASE))


def _own(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the patterns in {path}: {error}") from error

    patterns = []
    for number, line in enumerate(lines, start=1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        try:
            compiled = re.compile(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise SetupError(f"{path}:{number} is no regular expression: {error}") from error
        if compiled.groups and re.search(r"\\\d|\(\?P", pattern):
            raise SetupError(f"{path}:{number}: groups with names or references cannot be joined")
        patterns.append(pattern)
    return patterns
