"""Few adapters move when a replica joins."""

from __future__ import annotations

from lorabay.cluster.simulation.moves import moved
from tests.cluster.choice.made import digests


def test_a_ninth_of_them_moves() -> None:
    assert 0.08 < moved(digests(1000), 8, 9) <= 0.16


def test_none_moves_where_nothing_changes() -> None:
    assert moved(digests(10), 8, 8) == 0
