"""Intervals hold what they should, and the paired test tells a difference from noise."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from lorabay.evaluation.bootstrap import difference, interval, wilson
from lorabay.evaluation.measures import loss_of, mean_of, perplexity_of, share_of
from lorabay.evaluation.text_scores import bleu

WORDS = ("the", "rate", "is", "about", "two", "percent", "a", "year", "for", "each", "account")


def _texts(seed: int, spoiled: float, count: int = 60) -> tuple[list[str], list[str]]:
    """Return answers of which a share of the words is wrong, and their references."""
    random = np.random.default_rng(seed)
    references = [" ".join(random.choice(WORDS, 12)) for _ in range(count)]
    answers = [
        " ".join("wrong" if random.random() < spoiled else word for word in text.split())
        for text in references
    ]
    return answers, references


def test_a_mean_lies_in_its_interval() -> None:
    """About as wide as the normal one, and the same each time."""
    values = np.random.default_rng(1).normal(10, 2, 400).tolist()
    measure = mean_of("words", values)
    low, high = interval(measure, 1000)
    assert low < measure.value < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / 20, rel=0.15)
    assert interval(measure, 1000) == (low, high)


@pytest.mark.parametrize(
    ("share", "count", "low", "high"),
    [(1.0, 10, 72.2, 100.0), (0.5, 10, 23.7, 76.3), (0.0, 10, 0.0, 27.8)],
)
def test_a_share_has_wilsons_interval(share: float, count: int, low: float, high: float) -> None:
    """Ten of ten do not make certain. Figures of R's `binom.confint`."""
    assert wilson(share, count) == pytest.approx((low, high), abs=0.06)
    passed = share_of("right", [place < share * count for place in range(count)])
    assert interval(passed, 1000) == wilson(share, count)


def test_a_true_difference_is_found() -> None:
    """A model that is better on nearly every answer has a small p, and an interval above 0."""
    random = np.random.default_rng(2)
    base = random.normal(3, 1, 40)
    tokens = [10] * 40
    found = difference(
        loss_of((base - 0.3 + random.normal(0, 0.05, 40)).tolist(), tokens),
        loss_of(base.tolist(), tokens),
        1000,
    )
    assert found.p < 0.01
    assert not found.is_noise
    assert found.interval.low < found.value < found.interval.high < 0


def test_noise_is_called_noise() -> None:
    """Two models that differ by chance alone, and one against itself."""
    random = np.random.default_rng(3)
    one = mean_of("words", random.normal(0, 1, 50).tolist())
    other = mean_of("words", random.normal(0, 1, 50).tolist())
    assert difference(one, other, 1000).is_noise
    assert difference(one, one, 1000).p == 1.0


def test_the_test_is_sacrebleus() -> None:
    """BLEU of two systems: the same difference, and the same p but for the draws."""
    better, references = _texts(4, spoiled=0.30)
    worse = _texts(4, spoiled=0.34)[0]
    theirs = PairedTest(
        [("worse", worse), ("better", better)],
        {"BLEU": BLEU(tokenize="zh", references=[references])},
        None,
        test_type="bs",
        n_samples=2000,
    )()[1]["BLEU"][1]
    ours = difference(bleu(better, references), bleu(worse, references), 2000)
    assert bleu(better, references).value == pytest.approx(theirs.score)
    assert ours.p == pytest.approx(theirs.p_value, abs=0.03)


def test_answers_that_cannot_be_paired_are_refused() -> None:
    """Forty answers of one model say nothing beside thirty of another."""
    with pytest.raises(ValueError, match="cannot be paired"):
        difference(mean_of("words", [1.0]), mean_of("words", [1.0, 2.0]), 100)


def test_a_perplexity_beyond_every_number_can_be_compared() -> None:
    """It has an interval, and a difference."""
    endless = perplexity_of(loss_of([1000.0, 900.0], [1, 1]))
    plain = perplexity_of(loss_of([1.0, 1.0], [1, 1]))
    assert interval(endless, 100).high == endless.value
    assert difference(endless, plain, 100).value > 1e200
    assert difference(endless, endless, 100).is_noise
