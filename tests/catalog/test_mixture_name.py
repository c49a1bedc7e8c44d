"""Mixtures as a request writes them."""

from __future__ import annotations

import pytest

from lorabay.catalog.mixture_name import Share, is_mixture, shares_of


def test_a_mixture_is_names_with_weights() -> None:
    """Versions and names behind the base are names, too; a weight may be negative."""
    assert shares_of("finance*0.5+shop@0123456789ab*-1") == (
        Share("finance", 4),
        Share("shop@0123456789ab", -8),
    )
    assert shares_of("tiny:finance*2")[0].weight == 2.0
    assert is_mixture("finance*0.5")
    assert not is_mixture("finance")


def test_weights_that_hardly_differ_are_one() -> None:
    """They are rounded to eighths, so that a mixture is found again."""
    assert shares_of("a*0.5+b*0.33") == shares_of("a*0.49+b*0.4")
    assert shares_of("a*0.5") != shares_of("a*0.625")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("finance*", "NAME\\*WEIGHT"),
        ("*0.5", "NAME\\*WEIGHT"),
        ("finance*half", "NAME\\*WEIGHT"),
        ("finance*nan", "NAME\\*WEIGHT"),
        ("finance*inf", "NAME\\*WEIGHT"),
        ("finance*4.5", "from -4 to 4"),
        ("finance*0.5+", "NAME\\*WEIGHT"),
        ("finance*0.5+shop", "NAME\\*WEIGHT"),
        ("finance*0.01", "is 0"),
        ("a*1+b*1+a*0.5", "twice"),
        ("finance*1", "by its name"),
        ("a*1+b*1+c*1+d*1+e*1", "at most 4"),
    ],
)
def test_what_is_none_is_told(text: str, problem: str) -> None:
    """In words for whoever wrote it."""
    with pytest.raises(ValueError, match=problem):
        shares_of(text)
