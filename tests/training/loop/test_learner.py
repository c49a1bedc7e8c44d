"""A step is the same however its examples are cut into batches, and however memory is saved."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoModelForCausalLM

from lorabay.base.causal_lm import load_tokenizer
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.loop.learner import Learner
from lorabay.training.loop.order import Step
from lorabay.training.recipe import Recipe, read_recipe
from lorabay.training.variants.lora import config_of
from lorabay.training.variants.table import VARIANTS


@pytest.fixture
def examples(adapter_dir: Path, tiny_base: Path) -> list[EncodedExample]:
    """The eight training examples."""
    tokenizer = load_tokenizer(tiny_base)
    found = read_examples(adapter_dir / "data" / "train.jsonl")
    return [encode(tokenizer, example) for example in found]


def _recipe(adapter_dir: Path, **training: object) -> Recipe:
    recipe = read_recipe(adapter_dir)
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=training)})


def _learner(recipe: Recipe, base: Path) -> Learner:
    torch.manual_seed(3)
    variant = VARIANTS[recipe.variant.name]
    trainee = variant.adapt(variant.load(base, recipe), recipe, 20)
    return Learner(variant, trainee, recipe, Accelerator())


def _step(examples: list[EncodedExample], *sizes: int) -> Step:
    """Return a step with batches of these sizes."""
    batches, start = [], 0
    for size in sizes:
        batches.append(tuple((example,) for example in examples[start : start + size]))
        start += size
    return Step(1, tuple(batches))


def _after(learner: Learner, step: Step) -> tuple[float, dict[str, torch.Tensor]]:
    loss = learner.learn(0, step, 1.0)
    return loss, learner.snapshot()["weights"]


@pytest.mark.parametrize("sizes", [(4, 4), (1, 7), (2, 2, 2, 2)])
def test_accumulation_changes_nothing(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample], sizes: tuple[int, ...]
) -> None:
    """Batches of a step weigh by their tokens, also where they differ in size."""
    recipe = _recipe(adapter_dir)
    loss, weights = _after(_learner(recipe, tiny_base), _step(examples, 8))
    again, same = _after(_learner(recipe, tiny_base), _step(examples, *sizes))
    assert again == pytest.approx(loss, rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, atol=2e-4, rtol=1e-3)


def test_packed_examples_do_not_see_one_another(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """One row with all of them is the batch of all of them."""
    recipe = _recipe(adapter_dir)
    loss, weights = _after(_learner(recipe, tiny_base), _step(examples, 8))
    packed = Step(1, (((*examples[:5],), (*examples[5:],)),))
    again, same = _after(_learner(recipe, tiny_base), packed)
    assert again == pytest.approx(loss, rel=1e-5)
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, atol=2e-4, rtol=1e-3)


def test_checkpoints_of_gradients_change_nothing(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """What is computed twice is the same twice."""
    loss, weights = _after(_learner(_recipe(adapter_dir), tiny_base), _step(examples, 8))
    recipe = _recipe(adapter_dir, gradient_checkpointing=True)
    again, same = _after(_learner(recipe, tiny_base), _step(examples, 8))
    assert again == pytest.approx(loss, rel=1e-6)
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value)


def test_the_loss_is_that_of_peft_and_transformers(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """On one batch, to 1e-5: labels of -100 where nothing is learnt, PEFT around the model."""
    from peft import get_peft_model

    recipe = _recipe(adapter_dir)
    learner = _learner(recipe, tiny_base)
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    torch.manual_seed(3)
    peft = get_peft_model(model, config_of(recipe))
    with torch.no_grad():
        for mine, theirs in zip(
            learner.trainee.learning().values(),
            [value for value in peft.parameters() if value.requires_grad],
            strict=True,
        ):
            theirs.normal_(0, 0.1)
            mine.copy_(theirs)

    width = max(map(len, examples))
    tokens = torch.zeros(8, width, dtype=torch.long)
    labels = torch.full((8, width), -100)
    mask = torch.zeros(8, width, dtype=torch.long)
    for row, example in enumerate(examples):
        tokens[row, : len(example)] = torch.tensor(example.tokens)
        labels[row, len(example.prompt) : len(example)] = torch.tensor(example.answer)
        mask[row, : len(example)] = 1
    expected = peft(input_ids=tokens, labels=labels, attention_mask=mask).loss.item()
    assert learner.learn(0, _step(examples, 8), 1.0) == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_no_number_teaches_nothing(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """The weights stay what they were."""
    learner = _learner(_recipe(adapter_dir), tiny_base)
    spoiled: Any = next(iter(learner.trainee.learning().values()))
    with torch.no_grad():
        spoiled[0, 0] = float("nan")
    assert not learner.is_finite()
    before = learner.snapshot()["weights"]
    assert learner.learn(0, _step(examples, 8), 1.0) != 0
    for name, value in learner.snapshot()["weights"].items():
        torch.testing.assert_close(value, before[name], equal_nan=True)


def test_a_base_in_bfloat16_keeps_the_adapter_in_float32(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """The loss is near that of float32."""
    loss, _ = _after(_learner(_recipe(adapter_dir), tiny_base), _step(examples, 8))
    learner = _learner(_recipe(adapter_dir, precision="bfloat16"), tiny_base)
    assert {value.dtype for value in learner.trainee.learning().values()} == {torch.float32}
    again, _ = _after(learner, _step(examples, 8))
    assert again == pytest.approx(loss, rel=0.02)


def test_a_state_makes_another_learner_the_same(
    adapter_dir: Path, tiny_base: Path, examples: list[EncodedExample]
) -> None:
    """To the bit in the next step."""
    recipe = _recipe(adapter_dir)
    first, second = _learner(recipe, tiny_base), _learner(recipe, tiny_base)
    first.learn(0, _step(examples, 8), 1.0)
    second.restore(copy.deepcopy(first.state()))
    one = _after(first, _step(examples, 4, 4))
    two = _after(second, _step(examples, 4, 4))
    assert one[0] == two[0]
    assert all(torch.equal(two[1][name], value) for name, value in one[1].items())
