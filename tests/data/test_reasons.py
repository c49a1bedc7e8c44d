"""Reasons for removals and changes."""

from __future__ import annotations

from lorabay.data.reasons import MEANINGS, Code


def test_every_code_has_a_meaning() -> None:
    """In the order in which codes are declared, so that tables agree."""
    assert set(MEANINGS) == set(Code)
    assert len(MEANINGS) >= 20
    assert all(meaning.text.endswith(".") for meaning in MEANINGS.values())
