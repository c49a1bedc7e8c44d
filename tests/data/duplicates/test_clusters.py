"""Clusters."""

from __future__ import annotations

import numpy as np

from lorabay.data.duplicates.clusters import Clusters


def test_what_is_joined_to_one_belongs_to_all() -> None:
    """Each cluster is named by its lowest row, however it was joined."""
    clusters = Clusters(6)
    clusters.join_pairs([(4, 5), (1, 5), (2, 0)])
    assert clusters.roots().tolist() == [0, 1, 0, 3, 1, 1]


def test_equal_values_are_joined() -> None:
    """0 stands for none, and joins nothing."""
    clusters = Clusters(6)
    clusters.join_equal(np.array([7, 0, 9, 0, 7, 7], dtype=np.uint64))
    assert clusters.roots().tolist() == [0, 1, 2, 3, 0, 0]


def test_pairs_that_join_nothing_are_told() -> None:
    """The last of a circle, and a row with itself."""
    clusters = Clusters(4)
    firsts, seconds = np.array([0, 1, 0, 3]), np.array([1, 2, 2, 3])
    assert clusters.join_apart(firsts, seconds).tolist() == [True, True, False, False]
    assert clusters.roots().tolist() == [0, 0, 0, 3]
