"""The facts of a domain, from a sheet such as `data/facts.md`, and what each is about.

A sheet is Markdown. A line that begins with a number or a dash is a fact. It is about the name in
its heading, the name before its first colon, and every name that its Chinese form follows in
parentheses. A heading is a fact, too: `Large items (over 30 kg)`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lorabay.errors import SetupError
from lorabay.evaluation.rules.figures import Figure, figures

if TYPE_CHECKING:
    from pathlib import Path

_HEADING = re.compile(r"^#+\s+(?P<title>.*)$")
_ITEM = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")
_NAME = r"[A-Z][\w&]*(?: [A-Z][\w&]*){0,3}"
_BEFORE_COLON = re.compile(rf"^({_NAME})(?: \([^)]*\))?:")
_WITH_CHINESE = re.compile(rf"({_NAME}) [(（]([\u3400-\u9fff]+)[)）]")
_TITLE_NAME = re.compile(rf"^({_NAME}) \(")


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a sheet."""

    text: str
    subjects: frozenset[str]
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class FactSheet:
    """All facts of a domain."""

    text: str
    facts: tuple[Fact, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the sheet in a file; raises SetupError if it cannot be read or has no facts."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"cannot read the facts in {path}: {error}") from error

        sheet = cls.parse(text)
        if not sheet.facts:
            raise SetupError(
                f"{path} holds no facts: a fact is a numbered line, or one with a dash"
            )
        return sheet

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the sheet that a text is."""
        facts, above = [], frozenset[str]()
        for line in text.splitlines():
            if heading := _HEADING.match(line):
                fact = heading["title"]
                above = _names_in_title(fact)
            elif _ITEM.match(line):
                fact = _ITEM.sub("", line).strip()
            else:
                continue
            facts.append(Fact(fact, above | _names(fact), tuple(figures(fact))))

        return cls(text, tuple(facts))

    @property
    def subjects(self) -> frozenset[str]:
        """Everything that some fact is about."""
        return frozenset().union(*(fact.subjects for fact in self.facts))

    def named_in(self, text: str) -> frozenset[str]:
        """Return the subjects that a text names."""
        return frozenset(subject for subject in self.subjects if subject in text)

    def about(self, subjects: frozenset[str]) -> tuple[Fact, ...]:
        """Return the facts that may be about one of some subjects: they are about it, mention it,
        or are about nothing by name. Without subjects, return all.
        """
        return tuple(fact for fact in self.facts if not subjects or _may_be_about(fact, subjects))


def _may_be_about(fact: Fact, wanted: frozenset[str]) -> bool:
    if not fact.subjects or fact.subjects & wanted:
        return True
    return any(subject in fact.text for subject in wanted)


def _names_in_title(title: str) -> frozenset[str]:
    match = _TITLE_NAME.match(title)
    return frozenset() if match is None else frozenset({match[1]})


def _names(fact: str) -> frozenset[str]:
    names = {name for match in _WITH_CHINESE.finditer(fact) for name in match.groups()}
    if match := _BEFORE_COLON.match(fact):
        names.add(match[1])
    return frozenset(names)
