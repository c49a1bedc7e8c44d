"""Examples in the instruction format."""

from __future__ import annotations

import json

from lorabay.data.example import Example, example_of_line

TALK = Example(
    "And in red?", "Yes.", input="size 4", history=(("Hi", "Hello"),), system="Be brief."
)


def test_a_line_holds_an_example_as_a_whole() -> None:
    """What is optional and empty stands in no line."""
    assert example_of_line(TALK.as_line()) == TALK
    assert list(json.loads(Example("a", "b").as_line())) == ["instruction", "input", "output"]
    assert "\n" not in Example("a\nb", "c\td").as_line()
    assert "\t" not in Example("a\nb", "c\td").as_line()


def test_messages_are_those_of_a_chat() -> None:
    """The input follows the instruction after an empty line."""
    assert [(message["role"], message["content"]) for message in TALK.messages()] == [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "And in red?\n\nsize 4"),
        ("assistant", "Yes."),
    ]


def test_every_text_is_changed() -> None:
    """Also those of earlier turns and of the system."""
    changed = TALK.with_texts(str.upper)
    assert changed.as_line().upper() == TALK.as_line().upper()
    assert changed.spoken == ("HI", "HELLO", "AND IN RED?\n\nSIZE 4", "YES.")
    assert changed.system == "BE BRIEF."
