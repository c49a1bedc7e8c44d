"""A refusal names every module, and is short where a model repeats itself."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lorabay.reasons import Reason, rejected
from lorabay.tools.refusal import sentences, told


def test_layers_of_one_kind_are_told_together() -> None:
    """In order of the first of them; what is in no layer, or alone, is told as it is."""
    texts = [
        "module 'model.layers.3.q' is not there",
        "the bias is trained",
        *(f"module 'model.layers.{layer}.q' is not there" for layer in (0, 1, 2, 7, 9, 10)),
        "module 'model.layers.2.v' is not there",
        "module 'lm_head' is not there",
    ]
    assert told(rejected(Reason("x", text) for text in texts)) == (
        "module 'model.layers.{0-3,7,9-10}.q' is not there; the bias is trained; module 'model.layers.2.v' is not "
        "there; module 'lm_head' is not there"
    )


def test_no_module_of_a_model_is_left_out() -> None:
    """Of 80 layers with seven modules each, seven sentences."""
    reasons = [
        Reason("x", f"module 'model.layers.{layer}.m{part}' is new")
        for layer in range(80)
        for part in range(7)
    ]
    found = sentences(rejected(reasons))
    assert found == tuple(f"module 'model.layers.{{0-79}}.m{part}' is new" for part in range(7))


@given(st.sets(st.integers(0, 30), min_size=1))
def test_ranges_hold_exactly_the_layers(layers: set[int]) -> None:
    """Whatever is missing between them."""
    text = told(rejected(Reason("x", f"a.layers.{layer}.b") for layer in layers))
    inner = text.removeprefix("a.layers.").removesuffix(".b").strip("{}")
    told_layers: set[int] = set()
    for run in inner.split(","):
        first, _, last = run.partition("-")
        told_layers |= set(range(int(first), int(last or first) + 1))
    assert told_layers == layers
