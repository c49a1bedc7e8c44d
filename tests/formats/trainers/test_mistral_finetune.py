"""mistral-finetune's adapters change the weights as its own merge does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from lorabay.formats.trainers.mistral_finetune import _in_transformers
from tests.formats.trainers import left_behind
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


def test_weights_are_those_of_its_own_merge(llama: Path, tmp_path: Path) -> None:
    """Rows of wq and wk come back in transformers' order; the scaling is not divided by the
    rank.
    """
    read = check_read(left_behind.mistral_finetune(llama, tmp_path / "a"), llama)
    assert (read.format, read.rank) == ("mistral-finetune", 4)


def test_experts_have_mixtrals_names() -> None:
    """Layers of experts are where transformers keeps Mixtral's."""
    name = _in_transformers("layers.3.feed_forward.experts.5.w2")
    assert name == "model.layers.3.block_sparse_moe.experts.5.w2"


def test_without_its_params_the_scale_is_unknown(llama: Path, tmp_path: Path) -> None:
    """The reason names the file that has it."""
    left = left_behind.mistral_finetune(llama, tmp_path / "a")
    (left.folder / "params.json").unlink()
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"config_missing"}
    assert "params.json" in refusal.line


def test_an_unknown_module_is_named(llama: Path, tmp_path: Path) -> None:
    """A module that Mistral's code does not have is no module of the base."""
    left = left_behind.mistral_finetune(llama, tmp_path / "a")
    tensors = load_file(left.folder / "lora.safetensors")
    tensors["layers.0.attention.wx.lora_A.weight"] = torch.ones(4, 32)
    tensors["layers.0.attention.wx.lora_B.weight"] = torch.ones(32, 4)
    save_file(tensors, left.folder / "lora.safetensors")
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"module_not_in_base"}
    assert "attention.wx" in refusal.line
