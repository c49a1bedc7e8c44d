"""Adapters and bases whose names have different layouts merge, and are verified with PEFT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.merge.run import merge
from tests import peft_adapters, vision_bases
from tests.making import PREFIX
from tests.merge.bases import merge_settings
from tests.vision_bases import IN_MEMORY, SAVED

TOLERANCE = 2e-5
"""Of the largest logit: float32 sums in another order."""

WEIGHTS = "adapter_model.safetensors"


@pytest.mark.parametrize(
    ("name", "layout"), [("qwen2_5_vl", SAVED), ("qwen2_5_vl", IN_MEMORY), ("gemma3", SAVED)]
)
@pytest.mark.parametrize("older", [False, True])
def test_a_base_with_a_tower(name: str, layout: str, older: bool, tmp_path: Path) -> None:
    """The verified result answers like PEFT's model, whichever class the adapter was trained in."""
    base = vision_bases.make_base(name, tmp_path / "base", layout)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=r".*language_model.*(q_proj|down_proj)",
        rank_pattern={"down_proj": 2},
        task_type="CAUSAL_LM",
    )
    made = vision_bases.make_adapter(vision_bases.load(base), tmp_path / "adapter", config)
    if older:
        rename(made.folder, f"{PREFIX}model.language_model.", f"module.{PREFIX}model.")

    report = merge(merge_settings(tmp_path, verify=True))
    assert report.verification is not None
    with torch.no_grad():
        ours = vision_bases.load(tmp_path / "merged")(torch.arange(3, 19)[None]).logits[0]
    expected = made.logits()
    assert (ours - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.parametrize(
    "config",
    [
        lambda: peft.OFTConfig(task_type="CAUSAL_LM", oft_block_size=8, target_modules=["q_proj"]),
        lambda: peft_adapters.lora(target_modules=["q_proj"], modules_to_save=["norm", "lm_head"]),
        lambda: peft_adapters.lora(target_modules=["q_proj"], use_dora=True),
    ],
    ids=["PEFT's own layer", "modules_to_save", "DoRA"],
)
def test_names_with_wrappers(config: Callable[[], peft.PeftConfig], tmp_path: Path) -> None:
    """PEFT is handed names that it knows, for layers that it merges and for the verification."""
    base = peft_adapters.make_base(tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "adapter", config)
    rename(made.folder, f"{PREFIX}model.layers", f"{PREFIX}_orig_mod.model.layers")

    merge(merge_settings(tmp_path, verify=True))
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    for name, value in made.merged().items():
        torch.testing.assert_close(merged[name], value, rtol=1e-5, atol=2e-6)


def rename(folder: Path, old: str, new: str) -> None:
    tensors = load_file(folder / WEIGHTS)
    renamed = {name.replace(old, new, 1): value for name, value in tensors.items()}
    assert renamed.keys() != tensors.keys()
    save_file(renamed, folder / WEIGHTS)
