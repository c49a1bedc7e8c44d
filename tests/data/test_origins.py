"""Where rows come from: part, customer, time."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.data.inputs import InputFile
from lorabay.data.layouts.layout import UnusableError
from lorabay.data.origins import Origins
from lorabay.data.splitting import SplitWishes
from lorabay.errors import SetupError

BOTH = Origins(SplitWishes(time_field="when", customer_field="who"))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        (86400, 86400.0),
        ("86400.5", 86400.5),
        (1_700_000_000_000, 1_700_000_000.0),
    ],
)
def test_times_are_read(value: object, seconds: float) -> None:
    """ISO 8601 is in UTC unless it says else; large numbers are milliseconds."""
    origin = BOTH.origin("a:1", -1, {"when": value, "who": 7})
    assert origin.time == seconds
    assert origin.customer == "7"


@pytest.mark.parametrize("value", ["yesterday", None, "nan", []])
def test_what_is_no_time_is_said_of_the_row(value: object) -> None:
    """The reason names the field and not its value."""
    with pytest.raises(UnusableError, match="when is"):
        BOTH.origin("a:1", -1, {"when": value, "who": "x"})


def test_a_row_without_a_customer_is_said_so() -> None:
    """Rows without one must not become one customer."""
    with pytest.raises(UnusableError, match="who is missing"):
        BOTH.origin("a:1", -1, {"when": 1, "who": " "})


def test_a_split_by_parts_needs_names_that_say_them() -> None:
    """Other splits do not."""
    file = InputFile(Path("chats.jsonl"), "chats.jsonl")
    assert BOTH.part_of(file) == -1
    with pytest.raises(SetupError, match=r"chats\.jsonl says none of train, dev, test"):
        Origins(SplitWishes(by="parts")).part_of(file)
