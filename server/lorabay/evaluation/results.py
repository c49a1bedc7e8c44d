"""What an evaluation came to, as values: scores, differences from the base, and the answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from lorabay.evaluation.bootstrap import Difference, Interval, interval
from lorabay.evaluation.general import GENERAL
from lorabay.evaluation.scoring import CHECK
from lorabay.evaluation.sets import BASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lorabay.data.example import Message
    from lorabay.evaluation.measures import Measure

_ALWAYS = ("loss", "perplexity", "rouge_l", "bleu")
"""Figures that JSON has in any case, as null where they were not taken."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, and where it lies with a confidence of 95 %."""

    value: float
    interval: Interval

    @classmethod
    def of(cls, measure: Measure, draws: int) -> Self:
        """Return the figure of a measure."""
        return cls(measure.value, interval(measure, draws))


@dataclass(frozen=True, slots=True)
class Score:
    """One model on one set: its figures by name. Those of answers are about the first
    `generated` questions, and missing if that is 0.
    """

    model: str
    data: str
    examples: int
    generated: int
    figures: Mapping[str, Figure]

    def __getitem__(self, name: str) -> float:
        """Return the value of one figure, which must be there."""
        return self.figures[name].value

    def get(self, name: str) -> float | None:
        """Return the value of one figure; None if it was not taken."""
        figure = self.figures.get(name)
        return None if figure is None else figure.value

    @property
    def checks(self) -> dict[str, Figure]:
        """The shares of answers that pass, by the names of the rules."""
        return {
            name.removeprefix(CHECK): figure
            for name, figure in self.figures.items()
            if name.startswith(CHECK)
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the score as values that JSON can hold."""
        plain = {name: figure.value for name, figure in self.figures.items()}
        checks = {name: figure.value for name, figure in self.checks.items()}
        named = {name: value for name, value in plain.items() if not name.startswith(CHECK)}
        return {
            "model": self.model,
            "data": self.data,
            "examples": self.examples,
            "generated": self.generated,
            **dict.fromkeys(_ALWAYS),
            **{name: _number(value) for name, value in named.items()},
            "checks": checks,
            "intervals": {
                name: [_number(end) for end in figure.interval]
                for name, figure in self.figures.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """How much a figure of a model is above the base's on the same answers of one set.

    `is_better` is None for a figure that is neither better nor worse.
    """

    model: str
    data: str
    figure: str
    difference: Difference
    is_better: bool | None

    def as_dict(self) -> dict[str, Any]:
        """Return the comparison as values that JSON can hold."""
        return {
            "model": self.model,
            "against": BASE,
            "data": self.data,
            "figure": self.figure,
            "difference": _number(self.difference.value),
            "interval": [_number(end) for end in self.difference.interval],
            "p": self.difference.p,
            "noise": self.difference.is_noise,
            "better": self.is_better,
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """A model's answer to one question, and what each rule says about it: None where it holds."""

    text: str
    problems: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """A question that was asked, the reference answer, and the answers by model.

    `messages` are all that was asked: with a system message and earlier turns, if there are any.
    """

    data: str
    question: str
    reference: Answered
    answers: Mapping[str, Answered]
    messages: Sequence[Message] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the question as values that JSON can hold."""
        return {
            "data": self.data,
            "question": self.question,
            "messages": [dict(message) for message in self.messages],
            "reference": self.reference.text,
            "answers": {
                model: {"text": one.text, "problems": _only(one.problems)}
                for model, one in self.answers.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured, model by model, the base first.

    `reference_checks` says, by set, which share of the reference answers passes each rule: no model
    can be expected to pass more often.
    """

    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...] = ()
    questions: tuple[QuestionResult, ...] = ()
    reference_checks: Mapping[str, Mapping[str, float]] | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Every model, in order."""
        return _names(score.model for score in self.scores)

    @property
    def sets(self) -> tuple[str, ...]:
        """Every set, in order."""
        return _names(score.data for score in self.scores)

    def score(self, model: str, data: str) -> Score:
        """Return the score of one model on one set; both must be there."""
        return next(score for score in self.scores if (score.model, score.data) == (model, data))

    def on(self, data: str) -> tuple[Score, ...]:
        """Return the scores of all models on one set."""
        return tuple(score for score in self.scores if score.data == data)

    def comparison(self, model: str, data: str, figure: str) -> Comparison | None:
        """Return how one figure of a model differs from the base's; None for the base itself."""
        wanted = (model, data, figure)
        return next(
            (one for one in self.comparisons if (one.model, one.data, one.figure) == wanted), None
        )

    @property
    def forgetting(self) -> tuple[Comparison, ...]:
        """How right answers to general questions, and their loss, differ from the base's."""
        figures = ("loss", f"{CHECK}right")
        return tuple(
            one for one in self.comparisons if one.data == GENERAL and one.figure in figures
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {
            "scores": [score.as_dict() for score in self.scores],
            "comparisons": [one.as_dict() for one in self.comparisons],
            "reference_checks": {
                data: dict(shares) for data, shares in (self.reference_checks or {}).items()
            },
            "questions": [one.as_dict() for one in self.questions],
        }


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _only(problems: Mapping[str, str | None]) -> dict[str, str]:
    return {rule: problem for rule, problem in problems.items() if problem is not None}


def _number(value: float) -> float | None:
    """Return a value; None where JSON has no number for it."""
    return value if math.isfinite(value) else None
