"""Results of a verification: what passes, and that they survive being written and read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorabay.merge.verify.verification import Difference, Verification

VERIFICATION = Verification(
    probes=32,
    positions=512,
    merged=Difference(0.02, 0.995, 1e-5),
    rounding=Difference(0.01, 1.0, 1e-6),
    allowed=0.025,
)


def test_what_passes() -> None:
    """A difference up to the allowed one passes."""
    assert VERIFICATION.passed
    assert replace(VERIFICATION, allowed=0.02).passed
    assert not replace(VERIFICATION, allowed=0.019).passed


def test_there_and_back() -> None:
    """`from_dict` returns what `as_dict` described."""
    values = VERIFICATION.as_dict()
    assert values["passed"] is True
    assert Verification.from_dict(values) == VERIFICATION


@pytest.mark.parametrize("values", [{}, {"probes": 1}, None])
def test_something_else(values: dict[str, object]) -> None:
    """Values that do not describe a verification are refused."""
    with pytest.raises((KeyError, TypeError)):
        Verification.from_dict(values)


def test_rows_of_a_table() -> None:
    """The largest difference stands beside the allowed one."""
    rows = dict(VERIFICATION.rows())
    assert rows["largest logit difference"] == "0.02 (allowed 0.025)"
    assert rows["same best token"] == "99.50%"
