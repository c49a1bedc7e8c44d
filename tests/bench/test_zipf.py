"""Names drawn by popularity."""

from __future__ import annotations

from collections import Counter

import pytest

from lorabay.bench.zipf import draw_names

NAMES = tuple(f"a{number}" for number in range(1_000))


def test_popularity_falls_with_the_rank() -> None:
    """The second name comes about 2^-1.1 as often as the first, and most names come now and
    then.
    """
    drawn = Counter(draw_names(NAMES, 100_000, seed=0))
    assert drawn["a1"] / drawn["a0"] == pytest.approx(0.467, rel=0.1)
    assert len(drawn) > 900


def test_a_seed_names_its_draw() -> None:
    """The same seed draws the same names, another seed others."""
    assert draw_names(NAMES, 50, seed=1) == draw_names(NAMES, 50, seed=1)
    assert draw_names(NAMES, 50, seed=1) != draw_names(NAMES, 50, seed=2)
