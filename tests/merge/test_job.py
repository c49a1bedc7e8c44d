"""What sizes mean. Where an output may lie is in test_bad_input.py."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.merge.job import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5000000", 5_000_000),
        ("500MB", 500_000_000),
        ("500mb", 500_000_000),
        ("2GiB", 2 << 30),
        ("2 G", 2_000_000_000),
        ("1.5kB", 1_500),
        ("1Ti", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Units are decimal as for disks, and binary with an `i`."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0GB", "-1GB", "GB", "1e9", "5 apples", "1.5.2MB", "nan", "0.5", "9" * 400]
)
def test_no_sizes(text: str) -> None:
    """Any other text is refused with an example."""
    with pytest.raises(UsageError, match="is no size; write it as in 500MB or 2GiB"):
        parse_size(text)
