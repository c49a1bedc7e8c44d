"""The files of a domain, as a help desk exports them, and the key that says what is in them."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.data.transcripts.cases import LANGUAGES
from tests.data.transcripts.conversations import USER, Conversation, Talks
from tests.data.transcripts.spoiling import NOISES, exact_copy, near_copy

_CHINESE = 0.4
_NOISY, _COPIED = 0.08, 0.04
_SPEAKERS = {"en": ("Customer", "Agent"), "zh": ("客户", "客服")}
_OTHER_ENCODING = {"en": "cp1252", "zh": "gb18030"}


@dataclass(frozen=True)
class Entry:
    """A conversation of an export; `noise` spoils it, and `copy` says how it repeats another one,
    which has the same number.
    """

    talk: Conversation
    noise: str = ""
    copy: str = ""

    def key(self, source: str) -> dict[str, Any]:
        """Return what the key says of it; `source` is its file and line."""
        return {
            "source": source,
            "language": self.talk.language,
            "noise": self.noise,
            "copy": self.copy,
            "kept": self.talk.kept,
            "personal": self.talk.personal,
        }


def entries(domain: str, count: int, seed: int) -> list[Entry]:
    """Return so many different conversations of a domain, and besides them spoiled ones and copies,
    in the order of their export.
    """
    dice = random.Random(f"{domain} {seed}")
    talks = {language: Talks(domain, language, dice) for language in LANGUAGES}

    def talk() -> Conversation:
        return talks["zh" if dice.random() < _CHINESE else "en"].talk()

    clean = [talk() for _ in range(count)]
    made = [Entry(one) for one in clean]
    for number in range(round(count * _NOISY)):
        noise = list(NOISES)[number % len(NOISES)]
        made.append(Entry(NOISES[noise](talk(), dice), noise))
    copied = dice.sample(clean, 2 * round(count * _COPIED))
    for number, one in enumerate(copied):
        is_exact = number % 2 == 0
        copy = exact_copy(one) if is_exact else near_copy(one, dice)
        made.append(Entry(copy, copy="exact" if is_exact else "near"))
    dice.shuffle(made)
    return made


def write_exports(folder: Path, made: Iterable[Entry]) -> list[dict[str, Any]]:
    """Write the files of a domain into a new folder, and return the lines of its key."""
    by_file: dict[str, list[Entry]] = {name: [] for name in _WRITERS}
    for number, one in enumerate(made):
        by_file[_file_of(one, number)].append(one)

    folder.mkdir(parents=True)
    key = []
    for name, write in _WRITERS.items():
        content, lines = write(by_file[name])
        (folder / name).write_bytes(content)
        for one, line in zip(by_file[name], lines, strict=True):
            key.append(one.key(f"{name}:{line}"))
    return key


def _file_of(one: Entry, number: int) -> str:
    if one.noise == "broken_line":
        return "desk.jsonl"
    if one.noise == "encoding_repaired" or number % 3:
        return f"chats-{one.talk.language}.txt"
    return "tickets.csv" if len(one.talk.turns) == 2 and number % 2 else "desk.jsonl"


def _chats(made: list[Entry]) -> tuple[bytes, list[int]]:
    """Return a transcript, and the line that each conversation begins on."""
    content, starts, line = b"", [], 1
    for number, one in enumerate(made):
        starts.append(line)
        text = _transcript(one.talk, number)
        is_other = one.noise == "encoding_repaired"
        encoding = _OTHER_ENCODING[one.talk.language] if is_other else "utf-8"
        # A letter that is another byte in each encoding.
        accent = "" if not is_other or one.talk.language == "zh" else " Café Noël sends thanks."
        first, _, rest = text.partition("\n")
        content += f"{first}{accent}\n{rest}".encode(encoding)
        line += text.count("\n")
    return content, starts


def _transcript(talk: Conversation, number: int) -> str:
    customer, agent = _SPEAKERS[talk.language]
    colon = "：" if talk.language == "zh" else ": "
    lines = []
    for place, (role, text) in enumerate(talk.turns):
        time = f"[2026-10-{number % 28 + 1:02} {9 + place:02}:{number % 60:02}] "
        lines.append(f"{time}{customer if role == USER else agent}{colon}{text}\n")
    return "".join(lines) + "---\n"


def _desk(made: list[Entry]) -> tuple[bytes, list[int]]:
    """Return JSON lines of messages, and their numbers."""
    content = ""
    for one in made:
        messages = [{"role": role, "content": text} for role, text in one.talk.turns]
        row = {"id": one.talk.kept[0], "messages": messages}
        line = json.dumps(row, ensure_ascii=False)
        content += (line[: len(line) // 2] if one.noise == "broken_line" else line) + "\n"
    return content.encode(), list(range(1, len(made) + 1))


def _tickets(made: list[Entry]) -> tuple[bytes, list[int]]:
    """Return a table of a question and an answer a row, and the line that each row begins on."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["ticket", "question", "answer"])
    starts = []
    for one in made:
        starts.append(table.getvalue().count("\n") + 1)
        writer.writerow([one.talk.kept[0], *(text for _, text in one.talk.turns)])
    return table.getvalue().encode(), starts


_WRITERS: dict[str, Callable[[list[Entry]], tuple[bytes, list[int]]]] = {
    "chats-zh.txt": _chats,
    "chats-en.txt": _chats,
    "desk.jsonl": _desk,
    "tickets.csv": _tickets,
}
