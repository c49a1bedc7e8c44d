"""Who was chosen for whom."""

from __future__ import annotations

import math

from rich.console import Console

from lorabay.routing.confusion import confusion
from lorabay.routing.prompts import Prompt
from lorabay.routing.router import Router
from tests.routing.conftest import PROMPTS


def test_each_question_is_counted_where_it_went(router: Router) -> None:
    """Shares are of a class's own questions; what went astray is named."""
    astray = Prompt(PROMPTS[0].text, "bank")
    found = confusion(router, [*PROMPTS, astray])
    assert found.counts["shop", "shop"] == 4
    assert found.counts["bank", "shop"] == 1
    assert found.right("bank") == 0.8
    assert found.adapters_right == 8 / 9
    assert found.wrong == ((astray, "shop"),)
    assert found.median_ms > 0


def test_a_class_that_nobody_asked_has_no_share(router: Router) -> None:
    """And an adapter that the router does not know has a row."""
    found = confusion(router, [Prompt("Write a poem", "legal")])
    assert math.isnan(found.right("shop"))
    assert found.right("legal") == 0
    assert found.as_dict()["chosen"]["legal"]["base"] == 1


def test_the_table_shows_it(router: Router) -> None:
    """A row for each class, with its share."""
    console = Console(record=True, width=100)
    console.print(confusion(router, PROMPTS).table())
    shown = console.export_text()
    assert "question of" in shown
    assert "100.0%" in shown
    assert "ms (median)" in shown
