"""Sets of answers, each by the name of who gave them: read from files.

What `lorabay evaluate --json` printed holds a set for each model. Any other file has JSON lines,
which may name their models; without, it is one set, named as the file or as the user says. Knows
nothing of pairs and votes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError, UsageError
from lorabay.judging.questions import Question, question_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ANSWER_FIELDS = ("answer", "output", "response", "prediction")
"""Fields of an answer, by preference: beside `answer`, `output` is what should have been said."""

NAME_FIELD = "model"


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """What `name` answered, by question, in the order of its `source`."""

    name: str
    source: str
    answers: Mapping[Question, str]


def read_answer_sets(wanted: Sequence[str], only: Sequence[str] = ()) -> list[AnswerSet]:
    """Return the sets of files, each wanted as `FILE` or `NAME=FILE`; `only` those, if it has any.

    Raises UsageError for a name that is given twice, or that no set has, and SetupError for a file
    that cannot be read or a line that is not an answer; the message names the line.
    """
    sets: dict[str, AnswerSet] = {}
    for one in wanted:
        name, path = _name_and_path(one)
        for found in _sets_in(path, name):
            if found.name in sets:
                raise UsageError(
                    f"two sets of answers are called {found.name!r}: name them as NAME=FILE"
                )
            sets[found.name] = found

    unknown = [name for name in only if name not in sets]
    if unknown:
        raise UsageError(f"no set of answers is called {unknown[0]!r}: there are {', '.join(sets)}")
    return [found for name, found in sets.items() if not only or name in only]


def read_questions(path: Path) -> list[Question]:
    """Return the questions of a file, each once; raise SetupError as for answers."""
    asked: dict[Question, None] = {}
    for place, record in _records(path):
        asked[_question(place, record)] = None

    if not asked:
        raise SetupError(f"{path} holds no questions")
    return list(asked)


def _name_and_path(wanted: str) -> tuple[str | None, Path]:
    name, equals, rest = wanted.partition("=")
    if not equals or Path(wanted).exists():
        return None, Path(wanted)
    return name, Path(rest)


def _sets_in(path: Path, name: str | None) -> list[AnswerSet]:
    answers: dict[str, dict[Question, str]] = {}
    for place, record in _records(path):
        question, answer = _question(place, record), _answer(place, record)
        answered = answers.setdefault(_name(record, name, path), {})
        if answered.setdefault(question, answer) != answer:
            raise SetupError(f"{place} answers a question again, in other words")

    if not answers:
        raise SetupError(f"{path} holds no answers")
    return [AnswerSet(name, str(path), found) for name, found in answers.items()]


def _records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a record for each answer of a file, with its place there."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"cannot read the answers in {path}: {error}") from error

    evaluated = _evaluated_questions(text)
    if evaluated is None:
        yield from _lines(path, text)
    else:
        yield from _evaluated(path, evaluated)


def _evaluated(path: Path, questions: Sequence[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, question in enumerate(questions, 1):
        place = f"{path}, question {number},"
        match question:
            case {"messages": [_, *_] as messages, "answers": dict() as answers}:
                asked: dict[str, Any] = {"messages": messages}
            # Older versions kept the last message alone.
            case {"question": str() as last, "answers": dict() as answers}:
                asked = {"question": last}
            case _:
                raise SetupError(f"{place} has no answers by model")
        for model, given in answers.items():
            answer = given.get("text") if isinstance(given, dict) else given
            yield place, {NAME_FIELD: model, **asked, "answer": answer}


def _evaluated_questions(text: str) -> Sequence[Any] | None:
    """Return the questions of an evaluation's JSON; None for any other text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = document.get("questions") if isinstance(document, dict) else None
    return found if isinstance(found, list) else None


def _lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the objects of JSON lines."""
    # Only a line feed ends a line: other separators may stand in its strings.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise SetupError(f"{place} is not JSON: {error}") from error
        if not isinstance(record, dict):
            raise SetupError(f"{place} is not an object with a question and an answer")
        yield place, record


def _question(place: str, record: Mapping[str, Any]) -> Question:
    found = question_of(record)
    if isinstance(found, str):
        raise SetupError(f"{place}: {found}")
    return found


def _answer(place: str, record: Mapping[str, Any]) -> str:
    answer = next((record[name] for name in ANSWER_FIELDS if name in record), None)
    if not isinstance(answer, str):
        raise SetupError(f"{place} has no answer: one of {', '.join(ANSWER_FIELDS)}")
    return answer


def _name(record: Mapping[str, Any], given: str | None, path: Path) -> str:
    """Return the name of the set of a line: the given one, the line's own, or the file's."""
    own = record.get(NAME_FIELD)
    if given:
        return given
    return own if isinstance(own, str) and own else path.stem
