"""Licence plates."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import plates
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("车牌粤B·D12345停在地库", ["粤B·D12345"]),
        ("京A8K326充不上电", ["京A8K326"]),
        ("新能源沪AD12345", ["沪AD12345"]),
        ("licence plate 7ABC123", ["7ABC123"]),
        ("model 7ABC123", []),
        ("川A座电梯坏了", []),
    ],
)
def test_a_plate_is_found(text: str, pieces: list[str]) -> None:
    """Others than Chinese ones where they are called so."""
    assert found(plates.find, text) == pieces
