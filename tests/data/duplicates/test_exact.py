"""Exact duplicates."""

from __future__ import annotations

import numpy as np

from lorabay.data.duplicates.exact import exact_duplicates


def _found(texts: str, precedence: list[int]) -> list[tuple[int, int]]:
    digests = np.array([[ord(text), ord(text) % 3] for text in texts], dtype=np.uint64)
    gone, kept = exact_duplicates(digests.reshape(-1, 2), np.array(precedence))
    return list(zip(gone.tolist(), kept.tolist(), strict=True))


def test_all_but_the_first_of_a_kind_go() -> None:
    """In the order of the rows."""
    assert _found("abacab", [0] * 6) == [(2, 0), (4, 0), (5, 1)]
    assert _found("abc", [0] * 3) == []
    assert _found("", []) == []


def test_precedence_comes_before_order() -> None:
    """A row of test stays, and that of train goes."""
    assert _found("aba", [0, 0, -2]) == [(0, 2)]
