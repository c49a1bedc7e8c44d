"""How long texts are."""

from __future__ import annotations

import numpy as np

from lorabay.data.reporting.lengths import LENGTH_STEPS, Lengths


def test_every_text_is_in_a_column() -> None:
    """One of the upper end belongs to the column, and the last column has no end."""
    lengths = Lengths.of(np.array([0, 32, 33, 64, 10**6]))
    assert lengths.counts[:2] == (2, 2)
    assert lengths.counts[-1] == 1
    assert sum(lengths.counts) == 5
    assert len(lengths.counts) == len(LENGTH_STEPS) + 1
    assert (lengths.median, lengths.longest) == (33, 10**6)
