"""Texts in the form for comparing, and how similar they are."""

from __future__ import annotations

import numpy as np
import pytest

from lorabay.data.matching import digest, grams, jaccard, matching, mixed


def test_width_case_and_spaces_do_not_count() -> None:
    """What differs in nothing else has one digest."""
    assert matching("ＡＢＣ，  Straße\n") == "abc, strasse"
    assert digest(matching("Hello  World")) == digest(matching("hello world"))


def _exact(first: str, second: str) -> float:
    one, two = ({text[at : at + 5] for at in range(len(text) - 4)} for text in (first, second))
    return len(one & two) / len(one | two)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("where is my parcel today", "where is my parcel now"),
        ("我的包裹什么时候到货呢", "我的包裹什么时候能到呢"),
        ("completely different words", "nothing of it is the same"),
    ],
)
def test_similarity_is_that_of_sets_of_five_characters(first: str, second: str) -> None:
    """Computed from hashes as from the runs themselves."""
    assert jaccard(grams(first), grams(second)) == pytest.approx(_exact(first, second))


def test_a_short_text_is_one_run() -> None:
    """Even an empty one has a hash, so that nothing divides by nothing."""
    assert len(grams("abc")) == 1
    assert len(grams("")) == 1
    assert jaccard(grams("abc"), grams("abd")) == 0


def test_mixing_keeps_numbers_apart() -> None:
    """It is a bijection, and spreads neighbours over the whole range."""
    values = mixed(np.arange(1, 1001, dtype=np.uint64))
    assert len(np.unique(values)) == 1000
    assert abs(np.mean(values / 2**64) - 0.5) < 0.05


def test_half_a_character_is_compared_like_any_other() -> None:
    """JSON can hold one."""
    assert digest("a\ud800") == digest("a\ud800") != digest("a\ud801")
    assert len(grams("a\ud800")) == 1
