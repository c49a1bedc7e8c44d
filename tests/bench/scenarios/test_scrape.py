"""Scenario `scrape` with a small server that it really starts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.scenarios.scrape import Round, Scrape, Window, measure_scrapes, scrape_facts
from lorabay.bench.settings import BenchSettings
from lorabay.bench.transcript import Answer
from lorabay.errors import SetupError


def test_pages_are_read_beside_a_stream(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """Every round reads the page, and the report has the size, the times and the ratio."""
    names = ("red", "blue")
    settings = BenchSettings(rounds=1, start_timeout_s=60)
    findings = measure_scrapes(launch_fake(*names), names, settings, NoProgress(), window_s=0.5)

    facts = {fact.name: fact for fact in findings.facts}
    assert facts["the page"].value > 0
    assert facts["scrape, longest"].value > 0
    assert facts["longest pause of a stream, beside scrapes / alone"].bar == 2.0


def test_pauses_are_counted_in_their_own_time() -> None:
    """The longest pause of each time, and the median of the rounds' ratios."""
    stream = Answer(0.0, (0.0, 0.1, 0.2, 0.3, 1.0, 1.1, 1.4, 1.5), 1, 8)
    taken = Round(Window(0.0, 0.5), Window(1.05, 2.0), (Scrape(0.05, 1 << 20), Scrape(0.2, 10)))

    facts = {fact.name: fact.value for fact in scrape_facts([stream], [taken])}
    assert facts["the page"] == pytest.approx(1)
    assert facts["scrape, median of 2"] == pytest.approx(125)
    assert facts["longest pause of a stream, alone, median"] == pytest.approx(100)
    assert facts["longest pause of a stream, beside scrapes / alone"] == pytest.approx(3)


def test_a_stream_without_tokens_is_no_measurement() -> None:
    """A time in which it gave nothing is an error, not a figure."""
    with pytest.raises(SetupError, match="no tokens"):
        Window(5.0, 6.0).longest_pause([Answer(0.0, (0.0, 0.1), 1, 2)])
