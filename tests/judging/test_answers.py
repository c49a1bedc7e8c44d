"""Sets of answers from files: names, several sets in a file, and lines that are not answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError, UsageError
from lorabay.judging.answers import read_answer_sets, read_questions
from tests.judging.answered import write_answers


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    return path


def test_a_file_is_one_set_named_as_the_file_or_as_wished(tmp_path: Path) -> None:
    """`NAME=FILE` names it; a file whose own name has an equals sign is still a file."""
    plain = write_answers(tmp_path / "shop.jsonl", "shop-r16", 3)
    odd = write_answers(tmp_path / "r=16.jsonl", "shop-r16", 2)

    sets = read_answer_sets([str(plain), f"other={plain}", str(odd)])

    assert [(one.name, len(one.answers)) for one in sets] == [
        ("shop", 3),
        ("other", 3),
        ("r=16", 2),
    ]


def test_lines_name_their_models(tmp_path: Path) -> None:
    """So one file of an evaluation holds the base and every adapter."""
    rows = [
        {"model": model, "instruction": "Where?", "output": "reference", "answer": f"{model} says"}
        for model in ("base", "finance")
    ]
    sets = read_answer_sets([str(written(tmp_path / "answers.jsonl", *rows))])

    assert [one.name for one in sets] == ["base", "finance"]
    assert [[*one.answers.values()] for one in sets] == [["base says"], ["finance says"]]


def evaluation(path: Path, **answers: object) -> str:
    questions = [{"data": "shop", "question": "Where?", "reference": "x", "answers": answers}]
    path.write_text(json.dumps({"scores": [], "questions": questions}, indent=2))
    return str(path)


def test_an_evaluation_holds_a_set_for_each_model(tmp_path: Path) -> None:
    """As `lorabay evaluate --json` prints it; `only` some of them, if one wishes."""
    told = {name: {"text": f"{name} says", "problems": {}} for name in ("base", "shop", "tech")}
    path = evaluation(tmp_path / "evaluation.json", **told)

    assert [one.name for one in read_answer_sets([path])] == ["base", "shop", "tech"]
    sets = read_answer_sets([path], ["tech", "base"])
    assert [[one.name, *one.answers.values()] for one in sets] == [
        ["base", "base says"],
        ["tech", "tech says"],
    ]
    with pytest.raises(UsageError, match="no set of answers is called 'fin': there are base, shop"):
        read_answer_sets([path], ["fin"])


def test_an_evaluation_without_answers_is_one_line(tmp_path: Path) -> None:
    """It names the question."""
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"questions": [{"question": "Where?"}]}))
    with pytest.raises(SetupError, match="question 1, has no answers by model"):
        read_answer_sets([str(path)])
    with pytest.raises(SetupError, match="question 1, has no answer: one of"):
        read_answer_sets([evaluation(tmp_path / "other.json", base={"text": None})])


def test_an_evaluation_keeps_what_was_said_before(tmp_path: Path) -> None:
    """Two conversations may end with the same words; a file of an older version has no others."""

    def question(before: str, answer: str) -> dict[str, object]:
        turns = [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": before},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Why?"},
        ]
        return {"question": "Why?", "messages": turns, "answers": {"base": {"text": answer}}}

    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"questions": [question("Hot?", "Sun."), question("Wet?", "Sea.")]}))
    [one] = read_answer_sets([str(path)])
    assert [[text for _, text in asked.turns] for asked in one.answers] == [
        ["Be short.", "Hot?", "Yes.", "Why?"],
        ["Be short.", "Wet?", "Yes.", "Why?"],
    ]
    assert [*one.answers.values()] == ["Sun.", "Sea."]


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    """A model may have nothing to say, and people judge that, too."""
    [one] = read_answer_sets([str(written(tmp_path / "a.jsonl", {"prompt": "Q", "answer": ""}))])
    assert [*one.answers.values()] == [""]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no answers"),
        ("{", "a.jsonl:1 is not JSON"),
        ("\n[]\n", "a.jsonl:2 is not an object"),
        ('{"answer": "a"}', "a.jsonl:1: it has no question"),
        ('{"prompt": "q"}', "a.jsonl:1 has no answer"),
        ('{"prompt": "q", "history": 5, "answer": "a"}', "a.jsonl:1: history is not a list"),
        ('{"prompt": "q", "answer": "a"}\n{"prompt": "q", "answer": "b"}', "a.jsonl:2 answers"),
    ],
)
def test_a_line_that_is_not_an_answer_is_named(tmp_path: Path, text: str, problem: str) -> None:
    """With its file and number."""
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(SetupError) as caught:
        read_answer_sets([str(path)])
    assert problem in caught.value.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Nothing is guessed."""
    with pytest.raises(SetupError, match=r"cannot read .*nowhere\.jsonl"):
        read_answer_sets([str(tmp_path / "nowhere.jsonl")])


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    """A report could not tell them apart."""
    path = write_answers(tmp_path / "shop.jsonl", "shop-r16", 1)
    with pytest.raises(UsageError, match="NAME=FILE"):
        read_answer_sets([str(path), str(path)])


def test_questions_come_once_each_in_order(tmp_path: Path) -> None:
    """Held-out data are questions; their answers do not matter."""
    rows = [{"instruction": text, "output": "x"} for text in ("b", "a", "b")]
    questions = read_questions(written(tmp_path / "heldout.jsonl", *rows))
    assert [one.turns[-1][1] for one in questions] == ["b", "a"]

    with pytest.raises(SetupError, match="holds no questions"):
        read_questions(written(tmp_path / "empty.jsonl"))
