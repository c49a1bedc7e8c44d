"""Signatures and bands."""

from __future__ import annotations

import random

import numpy as np
import pytest

from lorabay.data.duplicates.signatures import BANDS, PLACES, Signer, bands_of, estimate, short
from lorabay.data.matching import grams, jaccard

WORDS = ["parcel", "return", "label", "order", "refund", "account", "card", "delivery", "late"]


def _text(dice: random.Random, words: int = 60) -> list[str]:
    return [f"{dice.choice(WORDS)}{dice.randrange(500)}" for _ in range(words)]


def test_signatures_estimate_similarity() -> None:
    """Within the deviation of that many places, for similar and for different texts."""
    dice, signer = random.Random(1), Signer()
    for changed in (0, 3, 10, 60):
        words = _text(dice)
        others = [*words[changed:], *_text(dice, changed)]
        one, two = (grams(" ".join(text)) for text in (words, others))
        pair = [short(signer.sign(text))[None, :] for text in (one, two)]
        assert estimate(pair[0], pair[1])[0] == pytest.approx(jaccard(one, two), abs=0.16)


def test_similar_texts_share_a_band_and_different_ones_rarely_do() -> None:
    """Nine in ten at 0.8 would not do: it is nearly all."""
    dice, signer = random.Random(2), Signer()
    met = 0
    for _ in range(40):
        words = _text(dice)
        others = [*words[:-6], *_text(dice, 5)]
        one, two = (bands_of(signer.sign(grams(" ".join(text)))) for text in (words, others))
        met += bool((one == two).any())
    assert met >= 39
    strangers = [bands_of(signer.sign(grams(" ".join(_text(dice))))) for _ in range(40)]
    assert sum((one == strangers[0]).any() for one in strangers[1:]) <= 4


def test_a_signature_is_always_the_same() -> None:
    """Also of a text that is signed piece by piece."""
    long = grams(" ".join(_text(random.Random(3), 4000)))
    assert len(long) > 5000
    first, second = Signer().sign(long), Signer().sign(long)
    assert (first == second).all()
    assert first.shape == (PLACES,)
    assert bands_of(first).shape == (BANDS,)
    assert first.max() < 1 << 32
    assert np.unique(bands_of(first)).size == BANDS
