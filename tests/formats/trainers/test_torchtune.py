"""torchtune's adapters change the weights as its own layers do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.formats.trainers import left_behind
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


def as_safetensors(folder: Path) -> None:
    """Keep the tensors as `lorabay convert --allow-pickle` hands them on."""
    tensors = torch.load(folder / "adapter_0.pt", weights_only=True)
    save_file(tensors, folder / "adapter_model.safetensors")


@pytest.mark.parametrize("dora", [False, True])
def test_weights_are_those_of_its_own_layers(dora: bool, llama: Path, tmp_path: Path) -> None:
    """Rows of q_proj and k_proj come back in transformers' order, magnitudes with them."""
    left = left_behind.torchtune(llama, tmp_path / "a", dora=dora)
    as_safetensors(left.folder)
    read = check_read(left, llama)
    assert (read.format, read.rank, read.alpha) == ("torchtune", 4, 6.0)


def test_without_a_config_the_way_out_is_told(llama: Path, tmp_path: Path) -> None:
    """Other checkpointers write none: a config with rank and alpha can be written by hand."""
    left = left_behind.torchtune(llama, tmp_path / "a")
    as_safetensors(left.folder)
    (left.folder / "adapter_config.json").unlink()
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"config_missing"}

    (left.folder / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 6.0}')
    check_read(left, llama)


def test_a_base_of_another_family_is_refused(llama: Path, tmp_path: Path) -> None:
    """How torchtune orders its rows is known for some families only."""
    left = left_behind.torchtune(llama, tmp_path / "a")
    as_safetensors(left.folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").symlink_to(llama / "model.safetensors")
    config = json.loads((llama / "config.json").read_text()) | {"model_type": "phi3"}
    (other / "config.json").write_text(json.dumps(config))
    refusal = check_refused(left.folder, other)
    assert refusal.codes == {"foreign_format"}
    assert "phi3" in refusal.line


@pytest.mark.parametrize("model_type", ["qwen2", "qwen3"])
def test_rows_of_a_qwen_are_as_they_are(model_type: str, llama: Path, tmp_path: Path) -> None:
    """torchtune keeps transformers' order of them."""
    folder, base = tmp_path / "a", tmp_path / "base"
    base.mkdir()
    (base / "model.safetensors").symlink_to(llama / "model.safetensors")
    config = json.loads((llama / "config.json").read_text()) | {"model_type": model_type}
    (base / "config.json").write_text(json.dumps(config))
    weights = load_file(llama / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    a, b = left_behind.pair(weights[name], 0)
    tensors = {"layers.0.attn.q_proj.lora_a.weight": a, "layers.0.attn.q_proj.lora_b.weight": b}
    config = {"r": 4, "lora_alpha": 6.0}
    left_behind.write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)
    weights[name] = weights[name] + (6.0 / 4) * (b @ a)
    check_read(left_behind.Left(folder, weights), base)


def test_a_magnitude_with_two_names_is_refused(llama: Path, tmp_path: Path) -> None:
    """Neither of the two is left out: the end of the name may be there or not."""
    left = left_behind.torchtune(llama, tmp_path / "a", dora=True)
    as_safetensors(left.folder)
    file = left.folder / "adapter_model.safetensors"
    tensors = load_file(file)
    name = "layers.0.attn.q_proj.magnitude"
    save_file(tensors | {f"{name}.weight": tensors[name] * 2}, file)
    assert check_refused(left.folder, llama).codes == {"ambiguous_module"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [({"r": 8}, "rank"), ({"use_rslora": True}, "config_field"), ({"use_dora": False}, None)],
)
def test_a_config_that_means_another_scale_is_refused(
    fields: dict[str, object], code: str | None, llama: Path, tmp_path: Path
) -> None:
    """Many are written by hand."""
    left = left_behind.torchtune(llama, tmp_path / "a")
    as_safetensors(left.folder)
    (left.folder / "adapter_config.json").write_text(
        json.dumps({"r": 4, "lora_alpha": 6.0} | fields)
    )
    if code is None:
        check_read(left, llama)
    else:
        assert check_refused(left.folder, llama).codes == {code}
