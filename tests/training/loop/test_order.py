"""Every example is learnt once an epoch, in an order that the seed alone decides."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.training.dataset import EncodedExample
from lorabay.training.loop.order import count_steps, steps
from lorabay.training.recipe import TrainingRecipe


def _examples(count: int) -> list[EncodedExample]:
    return [EncodedExample((number,) * (number % 7 + 1), (1, 0)) for number in range(count)]


def _settings(**values: float) -> TrainingRecipe:
    return TrainingRecipe.model_validate({"learning_rate": 1e-3, "epochs": 2, **values})


@given(count=st.integers(1, 40), batch_size=st.integers(1, 9), epochs=st.integers(1, 3))
def test_each_epoch_has_every_example_once(count: int, batch_size: int, epochs: int) -> None:
    """And as many steps as were counted beforehand."""
    settings = _settings(batch_size=batch_size, epochs=epochs)
    found = list(steps(_examples(count), settings))
    assert len(found) == count_steps(_examples(count), settings)
    for epoch in range(1, epochs + 1):
        learnt = [
            example
            for step in found
            if step.epoch == epoch
            for batch in step.batches
            for row in batch
            for example in row
        ]
        assert sorted(learnt, key=lambda example: example.prompt) == sorted(
            _examples(count), key=lambda example: example.prompt
        )


def test_the_seed_alone_decides() -> None:
    """Equal seeds give equal orders, epochs differ, and so do seeds."""
    examples = _examples(30)
    first = list(steps(examples, _settings(seed=1)))
    assert first == list(steps(examples, _settings(seed=1)))
    assert first != list(steps(examples, _settings(seed=2)))
    half = len(first) // 2
    assert [step.batches for step in first[:half]] != [step.batches for step in first[half:]]


def test_a_step_knows_its_tokens() -> None:
    """Those that are learnt, and all."""
    (step,) = steps(_examples(3), _settings(batch_size=8, epochs=1))
    assert (step.learnt_tokens, step.tokens) == (6, 12)


@given(count=st.integers(1, 40), together=st.integers(1, 4))
def test_packed_rows_hold_what_fits(count: int, together: int) -> None:
    """Each example once an epoch, rows of up to `max_tokens`, so many batches a step."""
    settings = _settings(batch_size=2, epochs=1, packing=True, max_tokens=12, accumulation=together)
    found = list(steps(_examples(count), settings))
    rows = [row for step in found for batch in step.batches for row in batch]
    assert all(sum(map(len, row)) <= 12 for row in rows)
    assert sorted(example.prompt for row in rows for example in row) == sorted(
        example.prompt for example in _examples(count)
    )
    assert all(len(step.batches) == together for step in found[:-1])
    assert len(found) == count_steps(_examples(count), settings)
