"""An evaluation on a terminal."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from lorabay.evaluation.tables import number, sentence, signed, tables
from tests.evaluation.made import made_evaluation


def test_the_tables_name_everything() -> None:
    """Models, sets, figures with intervals, checks with those of the references, and what
    changed.
    """
    paper = io.StringIO()
    Console(file=paper, width=140).print(tables(made_evaluation()))
    shown = paper.getvalue()
    for word in ("base", "finance", "shop", "general", "perplexity", "ROUGE-L", "reference"):
        assert word in shown
    assert re.search(r"2\.99±0\.0\d", shown)
    assert "finance on general: perplexity +1.47 to the base's, forgotten" in shown


def test_a_comparison_is_a_sentence() -> None:
    """With its verdict, its interval and its p."""
    better, forgotten = (sentence(one) for one in made_evaluation().comparisons)
    assert better.startswith("finance on shop: perplexity -19.1 to the base's, better (")
    assert "forgotten" in forgotten
    assert "p 0.005" in forgotten


@pytest.mark.parametrize(
    ("value", "text"), [(2.934, "2.93"), (31.46, "31.5"), (12345.0, "1.2e+04"), (0.0, "0.00")]
)
def test_numbers_have_the_digits_that_count(value: float, text: str) -> None:
    """Three, mostly."""
    assert number(value) == text
    assert signed(value) == (f"+{text}" if value else text)
