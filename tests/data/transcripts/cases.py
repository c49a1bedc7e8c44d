"""What customers ask and agents answer: the cases of a domain in a language.

English ones, and Chinese ones of finance, are the training pairs of the domain's adapter. The
others are in `scripts/NAME_zh.txt`, whose head says how they are written.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from lorabay.training.dataset import read_examples
from tests.data.transcripts.people import SCRIPTS

DOMAINS = ("ecommerce", "finance", "tech-support")
LANGUAGES = ("zh", "en")
ADAPTERS = Path(__file__).parents[3] / "adapters"

_CHINESE = re.compile("[\u4e00-\u9fff]")


@dataclass(frozen=True)
class Case:
    """Ways to ask, ways to begin the answer, the answer, and the items that it may be about."""

    questions: tuple[str, ...]
    answer: str
    leads: tuple[str, ...] = ()
    items: tuple[str, ...] = field(default=())

    def told(self, dice: random.Random) -> tuple[str, str]:
        """Return a question and its answer."""
        question, answer = dice.choice(self.questions), self.answer
        if self.leads:
            answer = f"{dice.choice(self.leads)}\n{answer}"
        if self.items:
            item = dice.choice(self.items)
            question, answer = question.replace("{item}", item), answer.replace("{item}", item)
        return question, answer


def cases(domain: str, language: str) -> list[Case]:
    """Return the cases of a domain in a language."""
    script = SCRIPTS / f"{domain}_{language}.txt"
    if script.exists():
        return _written(script.read_text(encoding="utf-8"))
    return [
        Case((one.question,), one.output)
        for one in read_examples(ADAPTERS / domain / "data" / "train.jsonl")
        if (language == "zh") == bool(_CHINESE.search(one.question))
    ]


def _written(text: str) -> list[Case]:
    blocks = [
        [line for line in block.splitlines() if not line.startswith("#")]
        for block in text.split("\n\n")
    ]
    (head, *_), *written = blocks
    items = tuple(head.removeprefix("* ").split())
    return [_case(lines, items) for lines in written]


def _case(lines: list[str], items: tuple[str, ...]) -> Case:
    return Case(
        questions=tuple(line[2:] for line in lines if line.startswith("? ")),
        leads=tuple(line[2:] for line in lines if line.startswith("! ")),
        answer="\n".join(line for line in lines if line[:2] not in ("? ", "! ")),
        items=items,
    )
