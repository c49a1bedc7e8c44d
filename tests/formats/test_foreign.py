"""Folders of other trainers, and weights under other names, are read; PEFT's are left to others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from lorabay.base.shapes import BaseShapes
from lorabay.formats.foreign import read_foreign
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.trainers import TRAINERS
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import LIMITS
from tests import peft_adapters
from tests.formats.merged import check_equal
from tests.formats.trainers import left_behind

if TYPE_CHECKING:
    from pathlib import Path


def test_pefts_own_folder_is_none_of_it(llama: Path, tmp_path: Path) -> None:
    """It is read as ever, by the reader of PEFT's formats."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    assert read_foreign(made.folder, BaseShapes.read(llama), LIMITS) is None


@pytest.mark.parametrize("name", ["adapter_0.safetensors", "finance.safetensors"])
def test_pefts_tensors_under_another_name_are_read(name: str, llama: Path, tmp_path: Path) -> None:
    """As torchtune names them, or anybody: the weights are those of PEFT's merge."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora-patterns"])
    merged = made.merged()
    (made.folder / "adapter_model.safetensors").rename(made.folder / name)
    read = read_foreign(made.folder, BaseShapes.read(llama), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    check_equal(read, llama, merged)


@pytest.mark.parametrize("trainer", ["mlx-lm", "mistral-finetune", "Tinker", "ms-swift"])
def test_other_readers_say_which_trainer_it_is(trainer: str, llama: Path, tmp_path: Path) -> None:
    """The reader of PEFT's formats refuses the folder, and names trainer and command."""
    left = left_behind.TRAINERS[trainer](llama, tmp_path / "a")
    result = read_updates(left.folder, BaseShapes.read(llama))
    assert isinstance(result, Rejected)
    assert "foreign_format" in result.codes
    assert trainer in result.line
    assert "lorabay convert" in result.line


def test_a_renamed_file_is_recognised_by_its_tensors(llama: Path, tmp_path: Path) -> None:
    """Calling mlx-lm's weights adapter_model.safetensors makes them no PEFT adapter."""
    left = left_behind.mlx_lm(llama, tmp_path / "a")
    (left.folder / "adapters.safetensors").rename(left.folder / "adapter_model.safetensors")
    result = read_updates(left.folder, BaseShapes.read(llama))
    assert isinstance(result, Rejected)
    assert result.codes == {"foreign_format"}
    read = read_foreign(left.folder, BaseShapes.read(llama), LIMITS)
    assert isinstance(read, AdapterUpdates), read
    check_equal(read, llama, left.merged)


@pytest.mark.parametrize(
    ("trainer", "tensor"),
    [
        ("mlx-vlm", "language_model.model.layers.0.self_attn.q_proj.A"),
        ("Megatron", "decoder.layers.0.self_attention.linear_qkv.adapter.linear_in.weight"),
        ("kohya", "lora_te_text_model_layers_0_self_attn_q_proj.lora_down.weight"),
        ("LyCORIS", "lycoris_model_layers_0_self_attn_q_proj.hada_w1_a"),
    ],
)
def test_a_trainer_without_a_known_mapping_is_named(
    trainer: str, tensor: str, llama: Path, tmp_path: Path
) -> None:
    """The refusal says what to do instead of converting it."""
    tensors = {tensor: torch.ones(32, 4)}
    config = {"rank": 4, "alpha": 8.0, "dropout": 0.0}
    folder = tmp_path / "a"
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    result = read_foreign(folder, BaseShapes.read(llama), LIMITS)
    assert isinstance(result, Rejected)
    assert trainer in result.line


def test_pefts_names_belong_to_no_other_trainer() -> None:
    """No name that PEFT gives a tensor is taken for another trainer's."""
    names = [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.embed_tokens.lora_embedding_A",
        "base_model.model.model.layers.0.block_sparse_moe.experts.1.w1.lora_B.weight",
        "base_model.model.model.layers.0.mlp.experts.base_layer.lora_A.weight",
        "base_model.model.lm_head.lora_B.weight",
        "model.layers.0.self_attn.q_proj.lora_A.weight",
    ]
    recognising = [trainer for trainer in TRAINERS if trainer.field is None]
    assert len(recognising) >= 4
    for trainer in recognising:
        assert not any(map(trainer.tensors.fullmatch, names)), trainer.name


def test_several_files_are_no_adapter(llama: Path, tmp_path: Path) -> None:
    """Which of two epochs is meant is for the user to say."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    tensors = peft_adapters.stored(made.folder)
    (made.folder / "adapter_model.safetensors").unlink()
    for epoch in range(2):
        save_file(dict(tensors), made.folder / f"adapter_{epoch}.safetensors")
    assert read_foreign(made.folder, BaseShapes.read(llama), LIMITS) is None


def test_a_broken_config_is_a_reason(llama: Path, tmp_path: Path) -> None:
    """The field and its file are named."""
    left = left_behind.mistral_finetune(llama, tmp_path / "a")
    (left.folder / "params.json").write_text(json.dumps({"head_dim": "8", "lora": {}}))
    result = read_foreign(left.folder, BaseShapes.read(llama), LIMITS)
    assert isinstance(result, Rejected)
    assert result.codes == {"config_field"}
    assert "params.json: lora.scaling" in result.line


def test_a_whole_training_of_mlx_lm_is_no_adapter(llama: Path, tmp_path: Path) -> None:
    """`fine_tune_type: full` saves weights under the adapter's name."""
    folder = tmp_path / "a"
    tensors = {"model.layers.0.self_attn.q_proj.weight": torch.ones(32, 32)}
    config = left_behind.mlx_config(fine_tune_type="full")
    left_behind.write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    result = read_foreign(folder, BaseShapes.read(llama), LIMITS)
    assert isinstance(result, Rejected)
    assert result.codes == {"foreign_format"}
