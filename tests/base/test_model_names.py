"""A tensor is known by the name of the files and by that of a model."""

from __future__ import annotations

import pytest

from lorabay.base.model_names import aliases, in_model

LAYER = "model.layers.0"


@pytest.mark.parametrize(
    ("stored", "own"),
    [
        (f"{LAYER}.mlp.experts.down_proj", f"{LAYER}.mlp.experts.down_proj"),
        (
            f"{LAYER}.block_sparse_moe.input_linear.weight",
            f"{LAYER}.block_sparse_moe.experts.gate_up_proj",
        ),
        (f"{LAYER}.mlp.experts.fc2.weight", f"{LAYER}.mlp.experts.down_proj"),
    ],
)
def test_experts_are_named_as_in_a_model(stored: str, own: str) -> None:
    """gpt-oss, GraniteMoE and Aria: the first name of a model is that of its experts."""
    assert in_model(stored) == own
    assert {stored, own} <= {*aliases(stored)}


def test_a_name_that_nothing_renames_is_the_only_one() -> None:
    """Most are."""
    name = f"{LAYER}.self_attn.q_proj.weight"
    assert list(aliases(name)) == [name]
