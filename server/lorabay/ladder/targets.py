"""What a domain has to reach: bounds of figures, such as `rouge_l>=35 and loss<=1.6`.

Owns the spelling: `rougeL>=0.35` means the same. Takes no figure itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIGURES = ("loss", "perplexity", "rouge_1", "rouge_2", "rouge_l", "bleu", "chrf")
"""Figures that a target may name. Beside loss and perplexity, they are from 0 to 100."""

OF_LOSSES = frozenset({"loss", "perplexity"})
"""Figures that need no answers, and are small where a model is good."""

_OTHER_SPELLINGS = {"rouge1": "rouge_1", "rouge2": "rouge_2", "rougel": "rouge_l"}
_BOUND = re.compile(r"\s*([A-Za-z_0-9]+)\s*(<=|>=)\s*([0-9]*\.?[0-9]+)\s*")
_FORM = "a target is like 'rouge_l>=35 and loss<=1.6'"


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure that must be at least, or at most, some value."""

    figure: str
    sign: str
    value: float

    def __str__(self) -> str:
        """Return the bound as a user writes it."""
        return f"{self.figure}{self.sign}{self.value:g}"

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Return whether the figure is on the right side."""
        found = figures[self.figure]
        return found <= self.value if self.sign == "<=" else found >= self.value


@dataclass(frozen=True, slots=True)
class Target:
    """Bounds that must hold together."""

    bounds: tuple[Bound, ...]

    def __str__(self) -> str:
        """Return the target as a user writes it."""
        return " and ".join(map(str, self.bounds))

    @property
    def needs_answers(self) -> bool:
        """Whether a figure is one of answers."""
        return any(bound.figure not in OF_LOSSES for bound in self.bounds)

    def missed(self, figures: Mapping[str, float]) -> tuple[Bound, ...]:
        """Return the bounds that do not hold."""
        return tuple(bound for bound in self.bounds if not bound.holds(figures))


def read_target(text: str) -> Target:
    """Return the target of a text; raises UsageError for one that says nothing that is measured."""
    return Target(tuple(_bound(part) for part in re.split(r"\band\b|,", text)))


def _bound(text: str) -> Bound:
    match = _BOUND.fullmatch(text)
    if match is None:
        raise UsageError(f"{text.strip()!r} is no bound: {_FORM}")

    spelt, sign, value = match.groups()
    figure = _OTHER_SPELLINGS.get(spelt.lower(), spelt.lower())
    if figure not in FIGURES:
        raise UsageError(f"{spelt!r} is not measured: {_FORM}, of {', '.join(FIGURES)}")

    bound = float(value)
    is_share = figure not in OF_LOSSES and bound <= 1
    return Bound(figure, sign, 100 * bound if is_share else bound)
