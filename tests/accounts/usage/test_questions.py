"""Questions about usage: what words ask, and the total of what is answered."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from lorabay.accounts.usage.questions import By, Line, Question, Report, Tokens, asked
from lorabay.errors import InvalidRequest


def test_words_are_read() -> None:
    """In their order, each once, with days as ISO writes them."""
    question = asked("key, adapter,key", since="2026-11-01", until="2026-11-30", only={})
    assert question == Question((By.KEY, By.ADAPTER), date(2026, 11, 1), date(2026, 11, 30), {})
    assert asked("", only={}) == Question()


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ({"by": "key,color"}, "by"),
        ({"by": "'; drop table usage"}, "by"),
        ({"by": "", "since": "yesterday"}, "since"),
        ({"by": "", "until": "2026-02-30"}, "until"),
        ({"by": "", "since": "2026-12-01", "until": "2026-11-01"}, "since"),
    ],
)
def test_words_that_say_nothing_are_refused(words: dict[str, str], param: str) -> None:
    """With the parameter that is wrong."""
    with pytest.raises(InvalidRequest) as refused:
        asked(**words, only={})
    assert refused.value.param == param


@pytest.mark.parametrize("name", ["a\0b", "\udcff"])
def test_names_that_no_database_holds_are_refused(name: str) -> None:
    """Bytes of a command line that are no text among them."""
    with pytest.raises(InvalidRequest) as refused:
        asked("", only={By.TENANT: name})
    assert refused.value.param == "tenant"


def test_the_total_is_the_sum_of_the_lines() -> None:
    """Of amounts as they are told, so that whoever adds them up gets the same."""
    lines = (
        Line(("a",), Tokens(1, 10, 2, 3), Decimal("0.01")),
        Line(("b",), Tokens(2, 20, 4, 6), Decimal("0.02")),
    )
    total = Report(Question((By.KEY,)), lines, "EUR").total
    assert total == Line((), Tokens(3, 30, 6, 9), Decimal("0.03"))
    assert Report(Question(), (), "EUR").total.amount == 0
    assert Report(Question(), ()).total.amount is None
