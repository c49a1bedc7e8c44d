"""LoRA on experts is merged as PEFT merges it, into bases of every layout, packed ones too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.merge.run import merge
from tests import mixtures, peft_adapters
from tests.merge import trained
from tests.merge.bases import merge_settings

if TYPE_CHECKING:
    from pathlib import Path

TOLERANCE = {"rtol": 1e-5, "atol": 2e-6}
"""Of a weight in float32: PEFT sums in another order."""


def made(name: str, tmp_path: Path, **fields: Any) -> peft_adapters.Made:
    base = mixtures.make_base(name, tmp_path / "base")
    return peft_adapters.make(base, tmp_path / "adapter", lambda: mixtures.on_experts(**fields))


@pytest.mark.parametrize("name", mixtures.CONFIGS)
def test_merged_weights_are_pefts(name: str, tmp_path: Path) -> None:
    """Every tensor that transformers would save after PEFT's own merge, and the same answers."""
    adapter = made(name, tmp_path)
    answers = adapter.logits()
    expected = mixtures.saved_merge(adapter.model, tmp_path / "expected")
    merge(merge_settings(tmp_path))

    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert merged.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(merged[key], value, **TOLERANCE)
    with torch.no_grad():
        ours = trained.load(tmp_path / "merged")(torch.arange(3, 19)[None]).logits[0]
    torch.testing.assert_close(ours, answers, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["Mixtral", "gpt-oss"])
def test_the_verification_knows_experts(name: str, tmp_path: Path) -> None:
    """The reference is the base with the adapter beside it."""
    made(name, tmp_path)
    report = merge(merge_settings(tmp_path, verify=True, dtype="bfloat16"))
    assert report.verification is not None
    assert {change.formula for change in report.tensors} <= {"W + s B A", "W[e] + s B[e] A[e]"}


@pytest.mark.parametrize("name", ["Qwen3-MoE", "Mixtral", "gpt-oss"])
def test_the_verification_knows_experts_of_another_layout(name: str, tmp_path: Path) -> None:
    """PEFT finds nothing by the names of the file, and gets those of the model."""
    adapter = made(name, tmp_path)
    file = adapter.folder / "adapter_model.safetensors"
    tensors = load_file(file)
    save_file({key.replace("model.layers", "llm.layers"): tensors[key] for key in tensors}, file)
    report = merge(merge_settings(tmp_path, verify=True))
    assert report.verification is not None
    assert any("mapped" in warning for warning in report.warnings)


def test_blocks_and_threads_do_not_matter(tmp_path: Path) -> None:
    """The same inputs give the same bytes, in one file or in several."""
    made("gpt-oss", tmp_path)
    for output, changes in (("one", {"workers": 1}), ("two", {"workers": 3})):
        merge(merge_settings(tmp_path, output=tmp_path / output, **changes))
    one, two = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_packed_experts_become_dense_ones(tmp_path: Path) -> None:
    """MXFP4, which transformers unpacks as well, with the adapter added in float32."""
    base = mixtures.make_base("gpt-oss", tmp_path / "base")
    mixtures.pack_experts(base)
    say_packed(base)
    dense = mixtures.unpacked(base, tmp_path / "dense")
    adapter = peft_adapters.make(dense, tmp_path / "adapter", mixtures.on_experts)
    expected = adapter.merged()
    report = merge(merge_settings(tmp_path, dtype="float32", verify=True))
    assert any("de-quantised" in line for line in report.warnings)

    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert not [name for name in merged if name.endswith(("_blocks", "_scales"))]
    for name in ("gate_up_proj", "down_proj"):
        key = f"model.layers.1.mlp.experts.{name}"
        torch.testing.assert_close(merged[key], expected[key], **TOLERANCE)
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config


def say_packed(base: Path) -> None:
    """Write what the published gpt-oss says of its packing."""
    config = json.loads((base / "config.json").read_text())
    skipped = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"]
    settings = {"quant_method": "mxfp4", "modules_to_not_convert": skipped}
    (base / "config.json").write_text(
        json.dumps(config | {"quantization_config": settings, "dtype": "bfloat16"})
    )


def test_single_experts_in_eight_bits_become_dense_ones(tmp_path: Path) -> None:
    """The verification puts the base's own matrices where a model has them: in one parameter."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    adapter = peft_adapters.make(base, tmp_path / "adapter", mixtures.on_experts)
    del adapter
    tensors: dict[str, torch.Tensor] = {}
    for name, value in load_file(base / "model.safetensors").items():
        if ".experts." in name:
            scale = value.abs().max() / 448
            tensors[name] = (value / scale).to(torch.float8_e4m3fn)
            tensors[f"{name}_scale"] = scale.reshape(1)
        else:
            tensors[name] = value.to(torch.bfloat16)
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    settings = {"quant_method": "fp8"}
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))

    report = merge(merge_settings(tmp_path, verify=True))
    assert report.verification is not None
    changed = [change.name for change in report.tensors if ".experts." in change.name]
    assert len(changed) == 2 * 3 * mixtures.EXPERTS
