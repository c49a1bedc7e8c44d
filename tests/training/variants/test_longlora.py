"""LongLoRA: a longer context, norms and embeddings that learn, and a folder to be merged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from lorabay.base.causal_lm import load_model
from lorabay.errors import SetupError
from lorabay.merge.job import MergeSettings
from lorabay.merge.run import merge
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.longlora import LONGLORA
from tests.peft_adapters import make_base
from tests.training.variants.ways import add_variant, logits, trained


def test_the_merged_model_is_the_trained_one(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """With its norms, its embeddings and its longer context."""
    result = trained(adapter_dir, tiny_base, "longlora", "context = 512")
    assert result.loss_after < 0.8 * result.loss_before

    recipe = read_recipe(adapter_dir)
    over = LONGLORA.load(tiny_base, recipe)
    expected = logits(PeftModel.from_pretrained(over, result.folder).eval())
    merge(
        MergeSettings(
            str(result.folder), tmp_path / "merged", tiny_base, tmp_path, tmp_path / "store"
        )
    )
    merged = load_model(tmp_path / "merged")
    assert merged.config.max_position_embeddings == 512
    torch.testing.assert_close(logits(merged), expected, atol=1e-3, rtol=1e-3)


def test_norms_and_embeddings_learn(adapter_dir: Path, tiny_base: Path) -> None:
    """Beside the matrices of LoRA."""
    add_variant(adapter_dir, "longlora", "context = 512")
    recipe = read_recipe(adapter_dir)
    learning = LONGLORA.adapt(LONGLORA.load(tiny_base, recipe), recipe, 1).learning()
    whole = [name for name in learning if "lora_" not in name]
    assert len(whole) == 1 + 2 * 2 + 1
    assert "512 positions (LongLoRA): to be merged" in LONGLORA.sentence(recipe)


def test_a_tied_head_stays_tied(adapter_dir: Path, tmp_path: Path) -> None:
    """It learns with the embedding, as one tensor."""
    base = make_base(tmp_path / "tied", tied=True)
    add_variant(adapter_dir, "longlora", "context = 512")
    recipe = read_recipe(adapter_dir)
    trainee = LONGLORA.adapt(LONGLORA.load(base, recipe), recipe, 1)
    head = trainee.causal_lm.get_output_embeddings().weight
    assert head.data_ptr() == trainee.causal_lm.get_input_embeddings().weight.data_ptr()
    assert head.requires_grad


def test_a_context_that_is_not_longer_is_refused(adapter_dir: Path, tiny_base: Path) -> None:
    """And so is a base whose positions are squeezed already."""
    add_variant(adapter_dir, "longlora", "context = 256")
    with pytest.raises(SetupError, match="256 is not longer than the 256 positions"):
        LONGLORA.load(tiny_base, read_recipe(adapter_dir))


def test_a_base_that_scales_its_positions_is_refused(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """Two scalings on top of one another are not what either means."""
    add_variant(adapter_dir, "longlora", "context = 512")
    config = json.loads((tiny_base / "config.json").read_text(encoding="utf-8"))
    config["rope_parameters"] = {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    (tmp_path / "scaled").mkdir()
    (tmp_path / "scaled" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(SetupError, match=r"scales its positions already \(linear\)"):
        LONGLORA.load(tmp_path / "scaled", read_recipe(adapter_dir))
