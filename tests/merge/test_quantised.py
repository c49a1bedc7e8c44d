"""A quantised base merges like the dense one that it stands for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lorabay.merge.run import merge
from tests import making
from tests.base.quantised.layouts import KINDS, quantise
from tests.making import values
from tests.merge.bases import (
    HIDDEN,
    INNER,
    VOCABULARY,
    all_tensors,
    make_base,
    make_lora,
    merge_settings,
    random_tensor,
)

Adapter = tuple[dict[str, object], dict[str, making.Stored]]
"""A config and tensors."""


@pytest.mark.parametrize("kind", ["gptq", "bitsandbytes 4", "packed"])
def test_merging_gives_a_dense_model(tmp_path: Path, kind: str) -> None:
    """bfloat16 without a quantisation, verified against PEFT on the de-quantised base; it says
    so.
    """
    base, adapter = (
        make_base(tmp_path / "base", files=1, dtype="F16"),
        make_lora(tmp_path / "adapter"),
    )
    dense = quantise(base, kind)
    report = merge(merge_settings(tmp_path, verify=True))
    merged = all_tensors(tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_bytes())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    assert {tensor.dtype for tensor in merged.values()} == {"BF16"}
    assert "de-quantised" in report.warnings[0]
    factors = load_file(adapter / "adapter_model.safetensors")
    for name, weight in dense.items():
        prefix = f"base_model.model.{name.removesuffix('.weight')}.lora_"
        a, b = (factors.get(f"{prefix}{part}.weight", torch.zeros(1, 1)).double() for part in "AB")
        expected = (weight.double() + 2 * b @ a).to(torch.bfloat16).float().numpy()
        assert np.array_equal(values(merged[name]), expected), name


def lora(*targets: str, **fields: object) -> Adapter:
    """The modules that end so; the head's factors, and what `lora_bias` adds to biases, where they
    are asked for.
    """
    tensors: dict[str, making.Stored] = {}
    for seed, module in enumerate([*making.MODULES, "lm_head"]):
        out, into = making.MODULES.get(module, (VOCABULARY, HIDDEN))
        if module.rpartition(".")[2] in targets:
            prefix = f"{making.PREFIX}{module}.lora"
            tensors[f"{prefix}_A.weight"] = random_tensor((4, into), seed, "F32", 0.1)
            tensors[f"{prefix}_B.weight"] = random_tensor((out, 4), seed + 100, "F32", 0.1)
            if "lora_bias" in fields:
                tensors[f"{prefix}_B.bias"] = random_tensor((out,), seed + 200, "F32", 0.1)
    return making.lora_config(targets, **fields), tensors


def ia3() -> Adapter:
    """Gates of outputs, which the biases go through, too."""
    config = {
        "peft_type": "IA3",
        "target_modules": ["k_proj"],
        "feedforward_modules": [],
        "task_type": "CAUSAL_LM",
    }
    modules = [module for module in making.MODULES if module.endswith("k_proj")]
    return config, {
        f"{making.PREFIX}{module}.ia3_l": random_tensor((making.MODULES[module][0], 1), seed, "F32")
        for seed, module in enumerate(modules)
    }


def test_the_older_name_of_the_settings(tmp_path: Path) -> None:
    """compressed-tensors once wrote `compression_config`, which would make a dense model
    unreadable.
    """
    base, _ = make_base(tmp_path / "base", files=1, dtype="F16"), make_lora(tmp_path / "adapter")
    quantise(base, "packed")
    config = json.loads((base / "config.json").read_bytes())
    (base / "config.json").write_text(
        json.dumps({"compression_config": config.pop("quantization_config"), **config})
    )
    merge(merge_settings(tmp_path))
    merged = json.loads((tmp_path / "merged" / "config.json").read_bytes())
    assert not merged.keys() & {"compression_config", "quantization_config"}


@pytest.mark.parametrize("kind", KINDS)
def test_vera_on_a_packed_base(tmp_path: Path, kind: str) -> None:
    """It needs the shapes of the weights, which the packing hides: no such base was once taken."""
    base, rank = make_base(tmp_path / "base", files=1, dtype="F16"), 8
    quantise(base, kind)
    tensors = {
        "base_model.vera_A": random_tensor((rank, INNER), 1, "F32", 0.1),
        "base_model.vera_B": random_tensor((HIDDEN, rank), 2, "F32", 0.1),
    }
    for module, (out, _) in making.MODULES.items():
        if module.endswith(("q_proj", "down_proj")):
            tensors[f"{making.PREFIX}{module}.vera_lambda_b"] = random_tensor((out,), 3, "F32")
            tensors[f"{making.PREFIX}{module}.vera_lambda_d"] = random_tensor((rank,), 4, "F32")
    config = {
        "peft_type": "VERA",
        "r": rank,
        "target_modules": ["q_proj", "down_proj"],
        "task_type": "CAUSAL_LM",
    }
    making.make_adapter(tmp_path / "adapter", config=config, tensors=tensors)
    report = merge(merge_settings(tmp_path, verify=kind == "gptq"))
    assert len(report.tensors) == 4


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("adapter", "skipped"),
    [
        (ia3(), "nothing"),
        (lora("q_proj", lora_bias=True), "nothing"),
        (lora("q_proj", "v_proj"), "q_proj"),
        (lora("q_proj", "lm_head"), "nothing"),
    ],
    ids=["(IA)³ and biases", "lora_bias", "a layer that was skipped", "the head"],
)
def test_what_is_not_quantised_is_verified(
    tmp_path: Path, tied: bool, adapter: Adapter, skipped: str
) -> None:
    """Tensors of a quantised base that lie there as they are: a right merge of them was once
    refused.
    """
    base = make_base(tmp_path / "base", files=1, dtype="F16", tied=tied, attention_bias=True)
    tensors = making.load(base / "model.safetensors")
    for seed, (module, shape) in enumerate(making.MODULES.items()):
        if ".self_attn." in module:
            tensors[f"{module}.bias"] = random_tensor(shape[:1], seed, "F16", 0.1)
    making.save(base / "model.safetensors", tensors)
    quantise(base, "gptq", skipped)
    making.make_adapter(tmp_path / "adapter", config=adapter[0], tensors=adapter[1])
    report = merge(merge_settings(tmp_path, verify=True))
    assert report.verification is not None
    assert report.untied == (tied and "lm_head" in str(adapter[0]["target_modules"]))
