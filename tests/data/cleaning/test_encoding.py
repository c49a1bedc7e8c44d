"""Letters that a wrong encoding has spoiled."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.encoding import repaired


@pytest.mark.parametrize(
    ("spoiled", "text"),
    [
        ("It doesnâ€™t work", "It doesn’t work"),
        ("CafÃ© au lait", "Café au lait"),
        ("æˆ‘çš„è®¢å\x8d•", "我的订单"),
    ],
)
def test_mojibake_is_repaired(spoiled: str, text: str) -> None:
    """Once: what is right again stays."""
    assert repaired(spoiled) == text
    assert repaired(text) == text


@pytest.mark.parametrize(
    "text", ["价格：１２３元，对吗？", "“quoted” — it’s meant", "&amp; <b>", "naïve Ärger"]
)
def test_what_is_meant_stays(text: str) -> None:
    """Full width, curly quotes, entities, letters with marks."""
    assert repaired(text) == text
