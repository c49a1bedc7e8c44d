"""What is summed up of answers."""

from __future__ import annotations

import pytest

from lorabay.rollout.figures import Figures, Sample


def test_each_figure_counts_what_tells_of_it() -> None:
    """An answer that failed has no length, and one that was not read has not declined."""
    figures = Figures()
    figures.add(Sample(failed=True))
    figures.add(Sample(False, first_token_s=0.5, tokens_per_s=20.0, tokens=9, declines=True))
    figures.add(Sample(False, tokens=9, declines=False))
    assert (figures.answers, figures.failed) == (3, 1)
    assert (figures.read, figures.declined) == (2, 1)
    assert (figures.first_token_s.count, figures.tokens_per_s.count, figures.tokens.count) == (
        *(1, 1, 2),
    )
    assert figures.first_token_s.typical == pytest.approx(0.5)
    assert figures.tokens.typical == pytest.approx(10)


def test_zeros_have_a_place() -> None:
    """A first token in no millisecond, and an answer without a token, break nothing."""
    figures = Figures()
    figures.add(Sample(False, first_token_s=0.0, tokens_per_s=0.0, tokens=0))
    assert figures.first_token_s.typical == pytest.approx(0.001)
    assert figures.tokens.typical == pytest.approx(1.0)
