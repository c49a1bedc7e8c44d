"""Conversations: who a customer is, what is asked and answered, and what was planted on the way."""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass, field, replace
from typing import Any

from tests.data.transcripts.cases import Case, cases
from tests.data.transcripts.people import SCRIPTS, People

USER, AGENT = "user", "assistant"
NAMES = ("name", "other", "agent")

_IDENTIFIED = 0.25
_DETAILS = (0, 1, 1, 2)
_FURTHER = (0, 0, 1, 1, 2)
_DRAWS = 20


@dataclass(frozen=True)
class Conversation:
    """Turns of a role and a text. `personal` are kinds and values that must go, `kept` numbers that
    must stay; the first of them is in no other conversation.
    """

    language: str
    turns: tuple[tuple[str, str], ...]
    personal: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()

    def with_text(self, place: int, text: str) -> Conversation:
        """Return the conversation with another text at a place."""
        turns = list(self.turns)
        turns[place] = (turns[place][0], text)
        return replace(self, turns=tuple(turns))

    @property
    def said(self) -> str:
        """All that is said."""
        return "\n".join(text for _, text in self.turns)


@dataclass
class Planting:
    """Fills the places of a text, and remembers with what; one person each."""

    people: People
    number: str
    number_name: str
    values: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, place: str) -> str:
        if place in ("number", "number_name"):
            return str(getattr(self, place))
        if place not in self.values:
            kind = "name" if place in NAMES else place
            self.values[place] = self.people.value(kind)
        return self.values[place]

    def filled(self, text: str) -> str:
        """Return a text with its places filled."""
        return text.format_map(self)  # type: ignore[arg-type]

    def personal(self) -> tuple[tuple[str, str], ...]:
        """Return the kinds and values that were planted."""
        return tuple(
            ("NAME" if place in NAMES else place.upper(), value)
            for place, value in self.values.items()
        )


class Talks:
    """Makes conversations of a domain in a language."""

    def __init__(self, domain: str, language: str, dice: random.Random) -> None:
        self._domain = domain
        self._language = language
        self._dice = dice
        self._people = People(language, dice)
        self._cases = cases(domain, language)
        text = (SCRIPTS / f"talk_{language}.toml").read_text(encoding="utf-8")
        self._lines = _lines_for(tomllib.loads(text), domain)
        self._numbers: set[str] = set()
        self._told: set[frozenset[Case]] = set()

    def talk(self) -> Conversation:
        """Return a conversation of one to three questions."""
        dice, lines = self._dice, self._lines
        planting = Planting(self._people, self._number(), lines["number_name"])
        first, *others = self._new_cases()

        turns = self._beginning(first, planting)
        for case in others:
            question, answer = case.told(dice)
            asked = [planting.filled(dice.choice(lines["follow_ups"])), question]
            turns += [(USER, self._joined(asked)), (AGENT, answer)]
        return Conversation(self._language, tuple(turns), planting.personal(), (planting.number,))

    def _new_cases(self) -> list[Case]:
        """Return cases that no other conversation is about, all of them together."""
        count = 1 + self._dice.choice(_FURTHER)
        while True:
            for _ in range(_DRAWS):
                drawn = self._dice.sample(self._cases, count)
                if frozenset(drawn) not in self._told:
                    self._told.add(frozenset(drawn))
                    return drawn
            # Nearly all of so many are told.
            count += 1

    def _beginning(self, case: Case, planting: Planting) -> list[tuple[str, str]]:
        dice, lines = self._dice, self._lines
        question, answer = case.told(dice)
        details = [
            planting.filled(one) for one in dice.sample(lines["details"], dice.choice(_DETAILS))
        ]
        end = dice.choice(lines["ends"])

        if dice.random() < _IDENTIFIED:
            given = planting.filled(dice.choice(lines["given"]))
            return [
                (USER, dice.choice(lines["greetings"])),
                (AGENT, planting.filled(dice.choice(lines["asked_back"]))),
                (USER, self._joined([given, *details, question]) + end),
                (AGENT, answer),
            ]
        opening = planting.filled(dice.choice(lines["openings"]))
        number = planting.filled(dice.choice(lines["numbers"]))
        asked = self._joined([opening, number, *details, question]) + end
        return [(USER, asked), (AGENT, answer)]

    def _joined(self, pieces: list[str]) -> str:
        return ("" if self._language == "zh" else " ").join(pieces)

    def _number(self) -> str:
        """Return a number that no other conversation has."""
        while True:
            number = self._new_number()
            if number not in self._numbers:
                self._numbers.add(number)
                return number

    def _new_number(self) -> str:
        digits = self._people.digits
        if self._domain == "ecommerce":
            return self._dice.choice([f"BW-{digits(6)}", f"2026{digits(14)}"])
        return f"AP2026{digits(8)}" if self._domain == "finance" else f"TK-{digits(8)}"


def _lines_for(talk: dict[str, Any], domain: str) -> dict[str, Any]:
    """Return the lines of a language, those of a domain among them."""
    own = talk.pop("domain")[domain]
    return {**talk, **own, "details": [*talk["details"], *own["details"]]}
