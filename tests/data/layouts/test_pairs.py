"""Plain pairs."""

from __future__ import annotations

import pytest

from lorabay.data.example import Example
from lorabay.data.layouts.pairs import Pairs, names_of
from lorabay.data.reasons import Code, Kept, Removed
from lorabay.errors import UsageError


def test_usual_names_are_known() -> None:
    """In any case, in English and in Chinese."""
    assert Pairs().outcome({"Question": "q", "Answer": "a"}) == Kept(Example("q", "a"))
    assert Pairs().outcome({"问题": "q", "答案": "a"}) == Kept(Example("q", "a"))
    dolly = {"instruction": "q", "context": "c", "response": "a", "category": "x"}
    assert Pairs().outcome(dolly) == Kept(Example("q", "a", input="c"))
    assert not Pairs().fits({"a": "q", "b": "a"})


def test_names_can_be_given() -> None:
    """A row without one of them is a reason."""
    pairs = Pairs(names_of("instruction=ask, output=reply,input=more"))
    assert pairs.outcome({"ask": "q", "reply": "a", "more": None}) == Kept(Example("q", "a"))
    outcome = pairs.outcome({"ask": "q"})
    assert isinstance(outcome, Removed)
    assert outcome.note.code == Code.MISSING_FIELD


@pytest.mark.parametrize("wish", ["question=q", "instruction", "instruction=q", "output="])
def test_names_of_another_form_are_refused(wish: str) -> None:
    """A pair has two sides."""
    with pytest.raises(UsageError, match="--fields"):
        names_of(wish)
    assert names_of("") == {}
