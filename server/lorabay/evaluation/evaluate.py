"""Evaluation of the base and adapters on held-out data and general questions: models by sets.

Loss and perplexity are those of the reference answers, in nats per answer token. The other figures
are those of greedy answers. Trains nothing, and does not know where a model runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lorabay.base.causal_lm import load_tokenizer
from lorabay.evaluation.bootstrap import difference
from lorabay.evaluation.offline import offline_models
from lorabay.evaluation.results import (
    Answered,
    Comparison,
    Evaluation,
    Figure,
    QuestionResult,
    Score,
)
from lorabay.evaluation.scoring import (
    CHECK,
    measures_of_answers,
    measures_of_losses,
    measures_of_rules,
)
from lorabay.evaluation.served import Endpoint, served_models
from lorabay.evaluation.sets import EvaluationSet, general, held_out_sets
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from lorabay.evaluation.measures import Measure
    from lorabay.evaluation.models import Model
    from lorabay.evaluation.sets import Question

DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """How models are measured.

    Only the first `limit` questions of a set are answered (None: all; 0: none), each with at most
    `max_tokens` tokens. Loss always covers the whole set. `draws` are those of the bootstrap.
    """

    limit: int | None = None
    max_tokens: int = 256
    draws: int = DRAWS


@dataclass(frozen=True, slots=True)
class _Measured:
    """What one model did on one set."""

    model: str
    data: EvaluationSet
    measures: Mapping[str, Measure]
    answers: Sequence[str]


def evaluate(
    adapter_dirs: Sequence[Path],
    base_dir: Path,
    *,
    with_general: bool = False,
    general_file: Path | None = None,
    settings: Settings | None = None,
    endpoint: Endpoint | None = None,
    batch_size: int = 16,
    console: Console | None = None,
) -> Evaluation:
    """Measure the base and each adapter on the held-out set of each adapter's recipe.

    With `with_general` also on general questions: those of `general_file`, or those that come with
    lorabay. With an `endpoint` its server is asked, and weights are not read. Raises SetupError for
    an adapter without a recipe, data or weights that can be read, and for a server that fails.
    """
    tokenizer = load_tokenizer(base_dir)
    sets = held_out_sets(adapter_dirs, tokenizer)
    if with_general:
        sets.append(general(general_file, tokenizer))

    count, chosen = len(adapter_dirs) + 1, settings or Settings()
    if endpoint is not None:
        with served_models(endpoint, adapter_dirs) as models:
            return measure(models, count, sets, chosen, console)

    offline = offline_models(adapter_dirs, base_dir, tokenizer, batch_size)
    return measure(offline, count, sets, chosen, console)


def measure(
    models: Iterable[Model],
    count: int,
    sets: Sequence[EvaluationSet],
    settings: Settings,
    console: Console | None = None,
) -> Evaluation:
    """Measure `count` models, the base first, on each set."""
    # The bar counts a question for its loss and once more for its answer.
    work = sum(len(data.questions) + len(data.questions[: settings.limit]) for data in sets)

    measured = []
    with progress_bar(count * work, "evaluate", console) as advance:
        for model in models:
            for data in sets:
                done = partial(advance, f"{model.name} on {data.name}")
                measured.append(_measure(model, data, settings, done))
    return _evaluation(measured, sets, settings)


def _measure(
    model: Model, data: EvaluationSet, settings: Settings, done: Callable[[int], None]
) -> _Measured:
    losses = model.losses(data.questions, done)
    asked = data.questions[: settings.limit]
    answers = model.answers(asked, settings.max_tokens, done) if asked else []

    measures = measures_of_losses(data.questions, losses) + measures_of_answers(data, answers)
    return _Measured(model.name, data, {one.name: one for one in measures}, answers)


def _evaluation(
    measured: Sequence[_Measured], sets: Sequence[EvaluationSet], settings: Settings
) -> Evaluation:
    return Evaluation(
        scores=tuple(_score(one, settings.draws) for one in measured),
        comparisons=tuple(
            comparison
            for data in sets
            for comparison in _comparisons(_on(measured, data), settings.draws)
        ),
        questions=tuple(
            result for data in sets for result in _questions(_on(measured, data), data)
        ),
        reference_checks={
            data.name: _reference_checks(data, len(_on(measured, data)[0].answers))
            for data in sets
            if data.checks.rules
        },
    )


def _on(measured: Sequence[_Measured], data: EvaluationSet) -> list[_Measured]:
    """Return what all models did on one set, the base first."""
    return [one for one in measured if one.data is data]


def _score(one: _Measured, draws: int) -> Score:
    return Score(
        model=one.model,
        data=one.data.name,
        examples=len(one.data.questions),
        generated=len(one.answers),
        figures={name: Figure.of(measure, draws) for name, measure in one.measures.items()},
    )


def _comparisons(measured: Sequence[_Measured], draws: int) -> Iterator[Comparison]:
    """Yield how each figure of each adapter differs from the base's."""
    base, *others = measured
    for one in others:
        # A server may tell the loss of one model and not of another.
        for name in [name for name in one.measures if name in base.measures]:
            measure = one.measures[name]
            found = difference(measure, base.measures[name], draws)
            better = None
            if measure.higher_is_better is not None and found.value:
                better = (found.value > 0) == measure.higher_is_better
            yield Comparison(one.model, one.data.name, name, found, better)


def _questions(measured: Sequence[_Measured], data: EvaluationSet) -> Iterator[QuestionResult]:
    """Yield each question that was asked, with all answers."""
    for place, question in enumerate(data.questions[: len(measured[0].answers)]):

        def judged(text: str, question: Question = question) -> Answered:
            return Answered(text, data.problems(question, text))

        yield QuestionResult(
            data=data.name,
            question=question.example.question,
            reference=judged(question.example.output),
            answers={one.model: judged(one.answers[place]) for one in measured},
            messages=question.example.prompt,
        )


def _reference_checks(data: EvaluationSet, asked: int) -> dict[str, float]:
    """Return the share of the reference answers that passes each rule."""
    references = [question.example.output for question in data.questions[:asked]]
    if not references:
        return {}
    measures = measures_of_rules(data, references)
    return {measure.name.removeprefix(CHECK): measure.value for measure in measures}
