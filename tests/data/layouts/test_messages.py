"""The layout of OpenAI's chats."""

from __future__ import annotations

import pytest

from lorabay.data.example import Example
from lorabay.data.layouts.messages import Messages
from lorabay.data.reasons import Code, Kept, Removed

ASKED = {"role": "user", "content": "q"}
ANSWERED = {"role": "assistant", "content": [{"type": "text", "text": "a"}]}


def test_messages_are_an_example() -> None:
    """Contents may be in parts; a developer is a system."""
    fields = {"messages": [{"role": "developer", "content": "s"}, ASKED, ANSWERED]}
    assert Messages().fits(fields)
    assert Messages().outcome(fields) == Kept(Example("q", "a", system="s"))
    assert not Messages().fits({"messages": "x"})
    assert not Messages().fits({"messages": [{"from": "x"}]})


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([ASKED, {"role": "tool", "content": "x"}], Code.WRONG_TURNS),
        ([ASKED, ANSWERED | {"tool_calls": [{}]}], Code.WRONG_TURNS),
        ([ASKED | {"content": [{"type": "image_url"}]}, ANSWERED], Code.WRONG_TURNS),
        ([ASKED], Code.WRONG_TURNS),
        ([ASKED, {"role": "assistant"}], Code.MISSING_FIELD),
        ([ASKED, "x"], Code.MISSING_FIELD),
        (None, Code.MISSING_FIELD),
    ],
)
def test_what_cannot_be_learnt_is_a_reason(messages: object, code: Code) -> None:
    """Tools, images, and messages of another form."""
    outcome = Messages().outcome({"messages": messages})
    assert isinstance(outcome, Removed)
    assert outcome.note.code == code
