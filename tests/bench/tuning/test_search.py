"""The search for a fast configuration, on devices whose times follow a rule."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, strategies as st

from lorabay.bench.tuning.search import CHOICES, Configuration, tune, usual
from lorabay.bench.tuning.shapes import Operation, Product
from tests.bench.tuning.fake_timer import FakeTimer
from tests.vllm_files import triton_ops

SHRINK = Product("shrink", 9, 3, 16, 4096, 64)
EXPAND = Product("expand", 9, 3, 16, 64, 4096)


@pytest.mark.parametrize("product", [SHRINK, EXPAND])
@given(target=st.data())
def test_a_hill_is_climbed_to_its_top(product: Product, target: st.DataObject) -> None:
    """Where every number counts for itself, the fastest of all combinations is found."""
    choices = CHOICES[product.operation]
    best = {name: target.draw(st.sampled_from(values)) for name, values in choices.items()}

    def rule(configuration: Configuration) -> float:
        steps = [
            abs(values.index(configuration[name] or 0) - values.index(best[name]))
            for name, values in choices.items()
        ]
        return float(2 ** sum(steps))

    tuned = tune(product, FakeTimer(rule))
    assert tuned is not None
    assert {name: tuned.configuration[name] for name in best} == best
    assert tuned.milliseconds == 1.0


@given(seed=st.integers(0, 1 << 16), product=st.sampled_from([SHRINK, EXPAND]))
def test_what_is_found_is_never_slower_than_vllms_own(seed: int, product: Product) -> None:
    """On any device, also one that cannot run a third of all; each configuration is timed once."""

    def rule(configuration: Configuration) -> float | None:
        if configuration == usual(product):
            return 500.0
        text = f"{seed} {sorted(configuration.items(), key=str)}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
        return None if number % 3 == 0 else 1 + number % 1000

    timer = FakeTimer(rule)
    tuned = tune(product, timer)
    assert tuned is not None
    assert tuned.milliseconds <= tuned.usual_milliseconds == 500.0
    assert rule(tuned.configuration) == tuned.milliseconds
    assert set(timer.asked.values()) == {1}
    assert tuned.tried == len(timer.asked)


def test_a_gain_within_the_noise_changes_nothing() -> None:
    """A file of small differences would say nothing."""
    timer = FakeTimer(lambda configuration: 1.0 if configuration == usual(EXPAND) else 0.99)
    tuned = tune(EXPAND, timer)
    assert tuned is not None
    assert tuned.configuration == usual(EXPAND)


def test_a_product_that_the_device_cannot_run_has_no_result() -> None:
    """It is left to vLLM."""
    assert tune(SHRINK, FakeTimer(lambda _: None)) is None


@pytest.mark.parametrize("rows", [1, 127, 128, 4096])
@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("operation", ["shrink", "expand"])
def test_the_search_begins_where_vllm_is(operation: Operation, slices: int, rows: int) -> None:
    """By vLLM's own function, which has no file here."""
    product = Product(operation, 9, slices, rows, 64, 128)
    inside = product.k if operation == "shrink" else product.n
    assert usual(product) == triton_ops("utils").get_lora_op_configs(
        operation,
        max_loras=9,
        batch=rows,
        hidden_size=inside,
        rank=64,
        num_slices=slices,
        add_inputs=True if operation == "expand" else None,
    )
