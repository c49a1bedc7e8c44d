"""The advice: each way with its reasons, the table, and figures that mean nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.console import Console

from lorabay.advising.advice import Way, advise, gib
from lorabay.advising.costs import GIB
from lorabay.errors import SetupError, UsageError
from tests.advising.figures import EIGHT_B, figures


def domains(count: int, traffic: float = 0.0) -> dict[str, float]:
    return {f"domain-{number}": traffic for number in range(1, count + 1)}


@pytest.mark.parametrize(
    ("traffic", "way", "reason"),
    [
        (domains(3), Way.MERGED, "need no more devices, decode without the 20%"),
        (domains(12), Way.SHARED, "One base serves all"),
        (domains(20, 1.0) | {"shop": 1350.0}, Way.MIXED, "2 where shop are merged"),
    ],
)
def test_each_way_has_its_reasons(traffic: dict[str, float], way: Way, reason: str) -> None:
    """The first sentence compares, the second says why."""
    advice = advise(EIGHT_B, traffic)
    assert advice.way == way
    assert reason in " ".join(advice.reasons)
    assert (
        advice.merged_names
        == {
            Way.MERGED: tuple(traffic),
            Way.SHARED: (),
            Way.MIXED: ("shop",),
        }[way]
    )


def test_the_crossing_is_told_with_what_makes_it() -> None:
    """From five domains on: four merged models of 18 GiB fill the 72 that a device offers."""
    advice = advise(EIGHT_B, domains(3))
    assert advice.crossing == 5
    [told] = [reason for reason in advice.reasons if reason.startswith("From 5 domains")]
    assert "72.0 GiB, which 4 merged models of 18.0 fill" in told

    busy = advise(EIGHT_B, domains(3, 700.0))
    assert busy.crossing is None
    assert any("merging takes as few devices up to 200" in reason for reason in busy.reasons)


def test_adapters_that_take_turns_are_told() -> None:
    """Where a device has fewer slots than domains."""
    advice = advise(figures(device_memory=20 * GIB, usable=1.0), domains(100))
    assert any("16 of the 100 adapters at once" in reason for reason in advice.reasons)


def test_the_table_goes_through_the_numbers() -> None:
    """From one domain to all of them, or a dozen; the row of now is among them."""
    advice = advise(EIGHT_B, domains(3))
    assert [row.merged.domains for row in advice.rows] == [*range(1, 13)]
    assert [row.best for row in advice.rows] == [Way.MERGED] * 4 + [Way.SHARED] * 8
    assert len(advise(EIGHT_B, domains(16)).rows) == 16
    assert len(advise(EIGHT_B, domains(100)).rows) == 24

    console = Console(width=100)
    with console.capture() as captured:
        console.print(advice.table())
    assert captured.get().startswith("merged: 3 domains take 1 device (54.0 GiB) merged and 1")


def test_json_holds_all_of_it() -> None:
    """Programs get plans, figures and the table."""
    values = json.loads(json.dumps(advise(EIGHT_B, domains(6)).as_dict()))
    assert (values["way"], values["crossing"]) == ("shared", 5)
    assert values["plans"]["merged"]["devices"] == 2
    assert values["table"][4]["shared"]["devices"] == 1
    assert values["figures"]["weights"] == 15 * GIB


@pytest.mark.parametrize(
    ("changes", "traffic", "error", "problem"),
    [
        ({}, {}, UsageError, "there are no domains"),
        ({"speed": None}, {"a": 5.0}, UsageError, "traffic needs --speed"),
        ({}, {"a": -1.0}, UsageError, "not below 0"),
        ({"adapter": 0}, {"a": 1.0}, UsageError, "how large an adapter is"),
        ({"device_memory": 16 * GIB}, {"a": 1.0}, SetupError, "16.0 GiB offers 14.4, and"),
    ],
)
def test_figures_that_allow_nothing_are_one_line(
    changes: dict[str, Any], traffic: dict[str, float], error: type[Exception], problem: str
) -> None:
    """What is missing, or what does not fit."""
    with pytest.raises(error, match=problem):
        advise(figures(**changes), traffic)


def test_small_sizes_have_more_digits() -> None:
    """An adapter is not 0.0 GiB."""
    assert (gib(18 * GIB), gib(GIB // 20)) == ("18.0", "0.05")
