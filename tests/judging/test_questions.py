"""Questions of lines in every layout, and what is said of a line without one."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.judging.questions import Question, question_of


@pytest.mark.parametrize(
    "record",
    [
        {"instruction": "Where is it?", "input": "Order 7"},
        {"question": "Where is it?", "input": "Order 7"},
        {"prompt": "Where is it?\n\nOrder 7", "output": "There."},
        {"messages": [{"role": "user", "content": "Where is it?\n\nOrder 7"}]},
        {
            "messages": [
                {"role": "user", "content": "Where is it?\n\nOrder 7"},
                {"role": "assistant", "content": "There."},
            ]
        },
    ],
)
def test_one_question_in_any_layout_is_the_same(record: dict[str, Any]) -> None:
    """So sets from several sources meet; the answer of a conversation is not part of it."""
    assert question_of(record) == Question((("user", "Where is it?\n\nOrder 7"),))


def test_what_was_said_before_belongs_to_a_question() -> None:
    """Another history or system message makes another question."""
    asked = question_of(
        {"instruction": "And now?", "history": [["Hi", "Hello"]], "system": "Be kind"}
    )
    assert isinstance(asked, Question)
    assert [one["role"] for one in asked.messages()] == ["system", "user", "assistant", "user"]
    assert asked != question_of({"instruction": "And now?"})


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({}, "no question"),
        ({"instruction": "  "}, "no question"),
        ({"instruction": "a", "input": 3}, "input and system are texts"),
        ({"instruction": "a", "history": [["q"]]}, "not pairs"),
        ({"messages": "a"}, "not a list"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "not a role"),
        ({"messages": [{"role": "system", "content": "a"}]}, "do not end"),
    ],
)
def test_what_is_no_question_says_why(record: dict[str, Any], problem: str) -> None:
    """A value rather than an exception: the caller knows the line."""
    told = question_of(record)
    assert isinstance(told, str)
    assert problem in told
