"""AdaLoRA: ranks go where they help, as PEFT's own training would move them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lorabay.base.causal_lm import load_model
from lorabay.errors import SetupError
from lorabay.tools.check import check
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.adalora import ADALORA
from tests.training.variants.ways import TOKENS, add_variant, trained


def test_ranks_end_at_the_recipes_mean(adapter_dir: Path, tiny_base: Path) -> None:
    """They start with half as much again in each module, and differ at the end."""
    folder = trained(adapter_dir, tiny_base, "adalora").folder
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    ranks = [sum(kept) for kept in config["rank_pattern"].values()]
    assert config["init_r"] == 6
    assert sum(ranks) == 4 * len(ranks) == 24
    assert len(set(ranks)) > 1


def test_the_initial_rank_is_written_also_if_it_is_pefts_default(
    adapter_dir: Path, tiny_base: Path
) -> None:
    """Its readers scale by it; without it, what was trained was refused."""
    folder = trained(adapter_dir, tiny_base, "adalora", "initial_rank = 12").folder
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["init_r"] == 12
    (verdict,) = check([folder], tiny_base, max_rank=16)
    assert verdict.servable, verdict


def test_the_penalty_is_pefts(adapter_dir: Path, tiny_base: Path) -> None:
    """PEFT adds it to a loss that the model itself takes; ours is taken outside."""
    add_variant(adapter_dir, "adalora", "orthogonality = 0.25")
    trainee = ADALORA.adapt(load_model(tiny_base), read_recipe(adapter_dir), 20)
    inside = trainee.model(TOKENS, labels=TOKENS).loss
    outside = trainee.causal_lm(TOKENS, labels=TOKENS).loss
    penalty = ADALORA.penalty(trainee)
    assert penalty is not None
    torch.testing.assert_close(outside + penalty, inside)


def test_no_weight_is_no_penalty(adapter_dir: Path, tiny_base: Path) -> None:
    """Nothing is computed for nothing."""
    add_variant(adapter_dir, "adalora", "orthogonality = 0")
    trainee = ADALORA.adapt(load_model(tiny_base), read_recipe(adapter_dir), 20)
    assert ADALORA.penalty(trainee) is None


@pytest.mark.parametrize(
    ("keys", "steps", "words"),
    [("", 1, "1 steps are too few"), ("initial_rank = 4", 20, "leaves nothing to take away")],
)
def test_what_cannot_move_is_refused(
    adapter_dir: Path, tiny_base: Path, keys: str, steps: int, words: str
) -> None:
    """Before a model is changed."""
    add_variant(adapter_dir, "adalora", keys)
    with pytest.raises(SetupError, match=words):
        ADALORA.adapt(load_model(tiny_base), read_recipe(adapter_dir), steps)


def test_the_allocators_memory_can_be_put_back(adapter_dir: Path, tiny_base: Path) -> None:
    """What a checkpoint keeps makes another allocator the same."""
    add_variant(adapter_dir, "adalora")
    recipe = read_recipe(adapter_dir)
    first = ADALORA.adapt(load_model(tiny_base), recipe, 20)
    for step in range(6):
        torch.autograd.backward(first.causal_lm(TOKENS, labels=TOKENS).loss)
        ADALORA.after_step(first, step)

    second = ADALORA.adapt(load_model(tiny_base), recipe, 20)
    state = ADALORA.state(first)
    assert state["exp_avg_ipt"]
    assert state["rank_pattern"]
    ADALORA.restore(second, state)
    assert ADALORA.state(second).keys() == state.keys()
    assert second.model.peft_config["default"].rank_pattern == state["rank_pattern"]


def test_the_card_has_both_ranks(adapter_dir: Path) -> None:
    """At the start and at the end."""
    add_variant(adapter_dir, "adalora")
    assert "from rank 6 to a mean rank of 4" in ADALORA.sentence(read_recipe(adapter_dir))
