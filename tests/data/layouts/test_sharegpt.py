"""The layout of ShareGPT."""

from __future__ import annotations

import pytest

from lorabay.data.example import Example
from lorabay.data.layouts.sharegpt import ShareGpt
from lorabay.data.reasons import Code, Kept, Removed

ASKED, ANSWERED = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}


def test_turns_are_an_example() -> None:
    """The system message may be a field of its own."""
    fields = {"conversations": [ASKED, ANSWERED], "system": "s"}
    assert ShareGpt().fits(fields)
    assert ShareGpt().outcome(fields) == Kept(Example("q", "a", system="s"))
    assert not ShareGpt().fits({"conversations": [{"role": "user"}]})


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([ASKED, {"from": "function_call", "value": "x"}], Code.WRONG_TURNS),
        ([ASKED, {"from": "gpt"}], Code.MISSING_FIELD),
        ([5], Code.MISSING_FIELD),
        ("x", Code.MISSING_FIELD),
    ],
)
def test_what_cannot_be_learnt_is_a_reason(turns: object, code: Code) -> None:
    """And no exception."""
    outcome = ShareGpt().outcome({"conversations": turns})
    assert isinstance(outcome, Removed)
    assert outcome.note.code == code
