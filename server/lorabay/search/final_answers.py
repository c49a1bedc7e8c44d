"""What the finalists of a search answer to the questions of dev, for people to compare.

A recipe was trained over several seeds, and one of them may be lucky. So question after question is
answered by the next seed, and by the same one for every finalist: what people say is about the
recipes. The answers of a finalist are a file, which a search that goes on reads again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lorabay.files import durable
from lorabay.judging.answers import AnswerSet, read_answer_sets
from lorabay.judging.questions import Question
from lorabay.search.finals import run_name
from lorabay.training.dataset import encode, read_examples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from lorabay.search.finalist import Finalist
    from lorabay.training.dataset import Example

_AT_ONCE = 8


class Answering(Protocol):
    """Lets a trained adapter answer."""

    def __call__(self, adapter: Path, examples: Sequence[Example]) -> list[str]:
        """Return an answer to the question of each example, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class GreedyAnswers:
    """Greedy answers of adapters on a base, each cut at `max_tokens`."""

    base: Path
    max_tokens: int

    def __call__(self, adapter: Path, examples: Sequence[Example]) -> list[str]:
        """Return an answer to the question of each example, in their order."""
        from lorabay.base.causal_lm import load_tokenizer
        from lorabay.evaluation.generate import greedy_answers
        from lorabay.evaluation.offline import with_adapter

        tokenizer = load_tokenizer(self.base)
        return greedy_answers(
            with_adapter(self.base, adapter),
            tokenizer,
            [encode(tokenizer, example) for example in examples],
            max_tokens=self.max_tokens,
            batch_size=_AT_ONCE,
        )


@dataclass(frozen=True, slots=True)
class FinalAnswers:
    """Asks the adapters in `finals`, and keeps what they say in `folder`."""

    finals: Path
    folder: Path
    answer: Answering

    def sets(
        self, finalists: Sequence[Finalist], dev: Path, after: Callable[[str], None]
    ) -> list[AnswerSet]:
        """Return the answers of each finalist to the questions of a file.

        Calls `after` with the name of each finalist that has answered.
        """
        # Two examples may ask the same; nobody is asked twice.
        by_question = {_question(example): example for example in read_examples(dev)}
        self.folder.mkdir(parents=True, exist_ok=True)

        sets = []
        for one in finalists:
            path = self.folder / f"{one.name}.jsonl"
            if not path.exists():
                durable.write(path, _lines(by_question, self._answers(one, by_question)))
                after(one.name)
            sets += read_answer_sets([f"{one.name}={path}"])
        return sets

    def _answers(self, one: Finalist, by_question: dict[Question, Example]) -> list[str]:
        examples = list(by_question.values())
        answers = [""] * len(examples)
        for turn, run in enumerate(one.runs):
            places = range(turn, len(examples), len(one.runs))
            if places:
                adapter = self.finals / run_name(one.name, run.seed)
                said = self.answer(adapter, [examples[place] for place in places])
                for place, text in zip(places, said, strict=True):
                    answers[place] = text
        return answers


def _question(example: Example) -> Question:
    return Question(tuple((one["role"], one["content"]) for one in example.prompt))


def _lines(by_question: dict[Question, Example], answers: Sequence[str]) -> str:
    rows = (
        {"messages": question.messages(), "answer": answer}
        for question, answer in zip(by_question, answers, strict=True)
    )
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
