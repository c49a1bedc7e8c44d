"""The figures of a model's losses and answers on a set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.evaluation.measures import Measure, loss_of, mean_of, perplexity_of, share_of
from lorabay.evaluation.rules.refusal import refusal
from lorabay.evaluation.text_scores import bleu, chrf, rouge
from lorabay.evaluation.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.evaluation.sets import EvaluationSet, Question

CHECK = "check: "
"""What the names of rules' shares begin with."""


def measures_of_losses(
    questions: Sequence[Question], losses: Sequence[float] | None
) -> list[Measure]:
    """Return loss and perplexity of the reference answers; nothing where no loss is known."""
    if losses is None:
        return []

    loss = loss_of(losses, [len(question.encoded.answer) for question in questions])
    return [loss, perplexity_of(loss)]


def measures_of_answers(data: EvaluationSet, answers: Sequence[str]) -> list[Measure]:
    """Return the figures of the answers to the first questions of a set; none without answers."""
    if not answers:
        return []

    asked = data.questions[: len(answers)]
    references = [question.example.output for question in asked]
    return [
        *rouge(answers, references),
        bleu(answers, references),
        chrf(answers, references),
        mean_of("words", [len(words(answer)) for answer in answers]),
        share_of("refusals", [refusal(answer) is not None for answer in answers]),
        *measures_of_rules(data, answers),
    ]


def measures_of_rules(data: EvaluationSet, answers: Sequence[str]) -> list[Measure]:
    """Return, for each rule of a set, the share of answers for which it holds."""
    asked = data.questions[: len(answers)]
    pairs = zip(asked, answers, strict=True)
    problems = [data.problems(question, answer) for question, answer in pairs]
    return [
        share_of(
            f"{CHECK}{rule.name}",
            [found[rule.name] is None for found in problems],
            higher_is_better=True,
        )
        for rule in data.checks.rules
    ]
