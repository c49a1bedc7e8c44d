"""The features of a question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.routing.encoder import Encoder
from lorabay.routing.features import Features
from lorabay.routing.ngrams import BUCKETS, ngram_counts
from tests.routing.conftest import PROMPTS

TEXTS = [prompt.text for prompt in PROMPTS]


@pytest.fixture
def learnt(tiny_base: Path) -> Features:
    return Features.learnt(Encoder.read(tiny_base), TEXTS)


def test_a_usual_vector_is_as_long_as_its_pieces(learnt: Features) -> None:
    """So that neither drowns the other, whatever scale a base's vectors have."""
    width = learnt.encoder.width
    features = np.stack([learnt.of(text) for text in TEXTS])
    assert features.shape == (len(TEXTS), width + BUCKETS)
    assert features.dtype == np.float32
    assert np.linalg.norm(features[:, :width], axis=1).mean() == pytest.approx(1, abs=0.15)
    assert np.linalg.norm(features[:, width:], axis=1) == pytest.approx(1, abs=1e-4)


def test_what_is_rare_counts_for_more(learnt: Features) -> None:
    """Tokens that most questions have say little of any; those that none had say most."""
    encoder = learnt.encoder
    (common,), (rare,) = encoder.tokens("e"), encoder.tokens("q")
    assert 0 < learnt.token_weights[common] < learnt.token_weights[rare]
    (unseen,) = ngram_counts("zzzz").nonzero()[0][-1:]
    assert learnt.piece_weights.max() == learnt.piece_weights[unseen]


def test_a_question_of_nothing_has_finite_features(learnt: Features) -> None:
    """And one with nothing in common with those of the training."""
    for text in ("", "\u0001", "ÿ"):
        assert np.isfinite(learnt.of(text)).all()
