"""The step for one example."""

from __future__ import annotations

import pytest

from lorabay.data.deidentify.deidentifier import Deidentifier
from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.replacing import surrogates, tag
from lorabay.data.example import Example
from lorabay.data.reasons import Code, Kept, Note
from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.finding import Finding
from lorabay.data.recognisers.table import RECOGNISERS
from lorabay.data.recognisers.view import View
from lorabay.errors import SetupError

REPLACE = surrogates(Key(b"0123456789abcdef"))


def test_everything_is_replaced_alike_and_counted() -> None:
    """In all texts of an example; what has no personal data is as it was."""
    step = Deidentifier(Finder(RECOGNISERS), REPLACE)
    example = Example(
        "电话13812345678，订单号13900001111", "Call 138-1234-5678.", system="Be brief."
    )
    outcome = step.apply(example)
    assert isinstance(outcome, Kept)
    made = outcome.example
    phone = made.instruction[2:13]
    assert phone != "13812345678"
    assert made.instruction == f"电话{phone}，订单号13900001111"
    assert made.output == f"Call 138-{phone[3:7]}-{phone[7:]}."
    assert outcome.notes == (Note(Code.DEIDENTIFIED, "PHONE: 2"),)
    assert step.counts.by_kind() == {"PHONE": {"zh": 1, "en": 1}}

    clean = Example("怎么退货？", "请点击我的订单。")
    assert step.apply(clean) == Kept(clean)
    assert step.counts.rows == 1


def test_tags_are_not_found_again() -> None:
    """What went through once goes through without a change."""
    step = Deidentifier(Finder(RECOGNISERS), tag)
    once = step.apply(Example("电话13812345678", "邮箱a@b.com，护照E12345678"))
    assert isinstance(once, Kept)
    assert once.example == Example("电话[PHONE]", "邮箱[EMAIL]，护照[PASSPORT]")
    assert step.apply(once.example) == Kept(once.example)


def test_what_cannot_be_taken_away_fails() -> None:
    """A recogniser that finds more each time, or a replacement that is none."""

    def everywhere(view: View) -> list[Finding]:
        at = view.text.find("x")
        return [Finding("X", at, at + 1, 1.0)] if at >= 0 else []

    step = Deidentifier(Finder({"X": everywhere}), tag)
    step.apply(Example("x" * 9, "none"))
    with pytest.raises(SetupError, match=r"still finds personal data in 1 rows \(X: 1\)"):
        step.counts.check()

    step = Deidentifier(Finder({"X": everywhere}), lambda _, text: text)
    step.apply(Example("x", "none"))
    with pytest.raises(SetupError, match=r"still finds personal data in 1 rows \(X: 1\)"):
        step.counts.check()
