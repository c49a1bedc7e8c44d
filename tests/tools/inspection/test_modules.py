"""Tensors that an adapter changes: their order, place, ranks and alphas."""

from __future__ import annotations

import pytest

from lorabay.tools.inspection.modules import (
    ModuleFacts,
    in_order,
    layer_of,
    measured,
    rank_and_alpha,
)
from tests.tools.inspection.conftest import Open


def test_layers_are_in_order_of_their_numbers() -> None:
    """Layer 2 comes before layer 10, and names outside of layers come last."""
    names = ["model.layers.2.x.weight", "model.layers.10.x.weight", "lm_head.weight"]
    assert in_order(reversed(names)) == names
    assert [layer_of(name) for name in names] == [2, 10, None]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("model.layers.3.self_attn.q_proj.weight", (3, "self_attn.q_proj")),
        ("transformer.h.0.attn.c_attn.bias", (0, "attn.c_attn.bias")),
        ("lm_head.weight", (None, "lm_head")),
    ],
)
def test_the_place_of_a_module(name: str, place: tuple[int | None, str]) -> None:
    """Layer and name within it, so that equal modules of all layers share a name."""
    assert ModuleFacts(name, None, None, None, None).place == place


def test_ranks_and_alphas_by_module(opened: Open) -> None:
    """Patterns decide for each module, rsLoRA has its own rule, and other formats have no alpha."""
    facts = {
        module.place: (module.rank, module.alpha) for module in measured(opened("lora-patterns"))
    }
    assert facts[0, "self_attn.q_proj"] == (2, pytest.approx(8))
    assert facts[1, "self_attn.v_proj"] == (4, pytest.approx(5))

    for module in measured(opened("rslora", "b")):
        assert (module.rank, module.alpha) == (4, pytest.approx(8))
    assert {module.alpha for module in measured(opened("vera", "c"))} == {None}


def test_without_a_product_there_is_no_rank(opened: Open) -> None:
    """A gate is not a product."""
    adapter = opened("ia3")
    for updates in adapter.updates.updates.values():
        assert rank_and_alpha(updates, adapter.updates.config) == (None, None)
