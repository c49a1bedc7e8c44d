"""Only answers count towards the loss, and padding and batches change nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from lorabay.base.causal_lm import load_model
from lorabay.training.answer_loss import Batch, answer_loss, heldout_loss, summed_loss
from lorabay.training.dataset import EncodedExample
from tests.training.kinds_of_layers import APART, WINDOW, model_of

EXAMPLES = (
    EncodedExample((5, 6, 7), (8, 9, 0)),
    EncodedExample((5,), (20, 0)),
    EncodedExample((30, 31, 32, 33), (40, 41, 42, 43, 44, 45, 0)),
)


@pytest.fixture(scope="module")
def model(tiny_base: Path) -> Any:
    """The tiny base."""
    return load_model(tiny_base)


def _reference(model: Any, example: EncodedExample) -> float:
    """Return the loss as transformers takes it, with the prompt masked by -100."""
    tokens = torch.tensor([example.prompt + example.answer])
    labels = torch.tensor([(-100,) * len(example.prompt) + example.answer])
    with torch.inference_mode():
        return float(model(input_ids=tokens, labels=labels).loss)


@pytest.mark.parametrize("example", EXAMPLES)
def test_one_example_agrees_with_transformers(model: Any, example: EncodedExample) -> None:
    """The loss of a single example is transformers' own with the prompt masked."""
    assert answer_loss(model, [example]).item() == pytest.approx(
        _reference(model, example), rel=1e-5
    )


def test_a_batch_is_the_mean_over_its_answer_tokens(model: Any) -> None:
    """Examples of different lengths weigh by their answer tokens, and padding adds nothing."""
    total = sum(_reference(model, example) * len(example.answer) for example in EXAMPLES)
    expected = total / sum(len(example.answer) for example in EXAMPLES)
    assert answer_loss(model, EXAMPLES).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_batches_do_not_change_a_held_out_loss(model: Any, batch_size: int) -> None:
    """The loss of a set does not depend on how it was cut into batches."""
    expected = answer_loss(model, EXAMPLES).item()
    assert heldout_loss(model, EXAMPLES, batch_size) == pytest.approx(expected, rel=1e-5)


def test_a_model_that_knows_nothing_is_as_good_as_guessing(tiny_base: Path) -> None:
    """Where all tokens are equally likely, the loss is that of a uniform guess over the
    vocabulary.
    """
    model = load_model(tiny_base)
    model.get_output_embeddings().weight.data.zero_()
    assert heldout_loss(model, EXAMPLES, 4) == pytest.approx(math.log(model.config.vocab_size))


@pytest.mark.parametrize("kind", APART)
def test_packed_examples_are_read_as_if_each_stood_alone(kind: str) -> None:
    """In every kind of attention, and with a window that is shorter than an example."""
    other = model_of(APART[kind])
    examples = [_random_example(seed, tokens) for seed, tokens in enumerate((9, 14, 20, 5))]
    assert max(map(len, examples)) > 2 * WINDOW
    rows = [tuple(examples[:2]), tuple(examples[2:])]
    with torch.inference_mode():
        alone = sum(float(summed_loss(other, Batch.of([(one,)]))) for one in examples)
        assert float(summed_loss(other, Batch.of(rows))) == pytest.approx(alone, rel=1e-4)


def _random_example(seed: int, tokens: int) -> EncodedExample:
    generator = torch.Generator().manual_seed(seed)
    some = torch.randint(3, 64, (tokens,), generator=generator).tolist()
    return EncodedExample(tuple(some[:3]), tuple(some[3:]))
