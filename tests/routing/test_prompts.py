"""Questions from files, each with its class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.errors import SetupError, UsageError
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.prompts import (
    Prompt,
    general_prompts,
    read_prompts,
    split_pair,
    without_repeats,
)

HIDDEN = Path(__file__).parents[1] / "fixtures" / "routing"
ADAPTERS = Path(__file__).parents[2] / "adapters"


def test_a_text_file_has_a_question_a_line(tmp_path: Path) -> None:
    """Empty lines and repetitions are passed over."""
    (tmp_path / "shop.txt").write_text("Where is it?\n\n退货\nWhere is it?\n", encoding="utf-8")
    found = read_prompts(tmp_path / "shop.txt", "shop")
    assert found == [Prompt("Where is it?", "shop"), Prompt("退货", "shop")]


def test_every_question_of_a_conversation_counts(tmp_path: Path) -> None:
    """Any might be a first one; a folder stands for its training file."""
    rows = [
        {"instruction": "and now?", "input": "", "output": "a", "history": [["My order", "yes"]]},
        {"instruction": "Is it late?", "input": "Order 7", "output": "a"},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "train.jsonl").write_text(text, encoding="utf-8")
    texts = [prompt.text for prompt in read_prompts(tmp_path, "shop")]
    assert texts[:2] == ["My order", "and now?"]
    assert "Is it late?" in texts[2]
    assert "Order 7" in texts[2]


def test_a_question_of_two_classes_counts_for_the_first() -> None:
    """A general question that an adapter has learnt is the adapter's."""
    both = [Prompt("hi", "shop"), Prompt("hi", BASE_CLASS), Prompt("ho", BASE_CLASS)]
    assert without_repeats(both) == [both[0], both[2]]


def test_general_questions_come_along_and_are_not_the_hidden_ones() -> None:
    """In both languages; what the figures of the guide are measured on is not among them."""
    general = {prompt.text for prompt in general_prompts()}
    chinese = {text for text in general if any("\u4e00" <= sign <= "\u9fff" for sign in text)}
    hidden = {prompt.text for prompt in read_prompts(HIDDEN / "base.txt", BASE_CLASS)}
    assert len(chinese) > 150
    assert len(general - chinese) > 150
    assert len(hidden) == 100
    assert not general & hidden


@pytest.mark.parametrize("name", ["ecommerce", "finance", "tech-support"])
def test_the_questions_of_a_domain_are_not_those_that_it_is_checked_by(name: str) -> None:
    """In both languages, too; neither the held-out ones nor the hidden ones are among them."""
    data = ADAPTERS / name / "data"
    learnt = {prompt.text for prompt in read_prompts(data / "questions.txt", name)}
    checked = [
        *read_prompts(data / "heldout.jsonl", name),
        *read_prompts(HIDDEN / f"{name}.txt", name),
    ]
    chinese = {text for text in learnt if any("\u4e00" <= sign <= "\u9fff" for sign in text)}
    assert len(chinese) > 120
    assert len(learnt - chinese) > 120
    assert not learnt & {prompt.text for prompt in checked}


@pytest.mark.parametrize("text", ["finance", "=x", "finance="])
def test_a_pair_has_a_name_and_a_path(text: str) -> None:
    """Anything else is wrong usage."""
    with pytest.raises(UsageError, match="NAME=PATH"):
        split_pair(text)
    assert split_pair("a=b=c") == ("a", "b=c")


def test_a_file_without_questions_is_named(tmp_path: Path) -> None:
    """Also one that is not there, and one that is no text."""
    for name, content in (("a.txt", b"\n"), ("b.txt", b"\xff\xfe"), ("c.txt", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(SetupError, match=name):
            read_prompts(tmp_path / name, "shop")
