"""The loss of each answer does not depend on its batch, and adds up to that of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.evaluation.answer_nats import answer_nats
from lorabay.training.answer_loss import heldout_loss
from lorabay.training.dataset import Example, encode

ANSWERS = ("a", "a much longer answer than the first", "blue", "y" * 30, "no")


def test_each_answer_has_its_own_nats(tiny_base: Path) -> None:
    """In the order of the examples; every one is reported done."""
    model, tokenizer = load_model(tiny_base), load_tokenizer(tiny_base)
    examples = [encode(tokenizer, Example("q" * len(text), "", text, "x")) for text in ANSWERS]
    done: list[int] = []

    together = answer_nats(model, examples, 2, done.append)
    alone = [answer_nats(model, [one], 1)[0] for one in examples]
    assert together == pytest.approx(alone, rel=1e-4)
    assert (sum(done), len(done)) == (5, 3)

    tokens = sum(len(one.answer) for one in examples)
    assert sum(together) / tokens == pytest.approx(heldout_loss(model, examples, 4), rel=1e-5)
