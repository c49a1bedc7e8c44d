"""Packed weights that an adapter leaves alone stay as they are, whatever packed them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import torch
from safetensors.torch import load_file, save_file

from lorabay.errors import SetupError
from lorabay.merge.run import merge
from tests import making, mixtures, peft_adapters
from tests.base.quantised.layouts import quantise
from tests.making import Stored
from tests.merge.bases import make_base, make_lora, merge_settings, random_tensor
from tests.merge.test_experts import say_packed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MLP = ("gate_proj", "up_proj", "down_proj")
BYTES = {"U8": "uint8", "I8": "int8", "I32": "int32", "F8_E4M3": "uint8"}


def bits(shape: tuple[int, ...], seed: int, dtype: str = "U8") -> Stored:
    """Return numbers of a packed weight, which mean something only to whoever packed them."""
    drawn = np.random.default_rng(seed).integers(0, 100, shape).astype(BYTES[dtype])
    return Stored(dtype, shape, drawn.tobytes())


def nvfp4(module: str, out: int, into: int) -> dict[str, Stored]:
    """ModelOpt's NVFP4: two numbers in a byte, a scale a block, one for all, and one of inputs."""
    return {
        f"{module}.weight": bits((out, into // 2), 1),
        f"{module}.weight_scale": bits((out, into // 16), 2, "F8_E4M3"),
        f"{module}.weight_scale_2": random_tensor((1,), 3, "F32"),
        f"{module}.input_scale": random_tensor((1,), 4, "F32"),
    }


def torchao(module: str, out: int, into: int) -> dict[str, Stored]:
    """torchao's flattened tensor subclasses."""
    return {
        f"{module}._weight_qdata": bits((out, into), 1, "I8"),
        f"{module}._weight_scale": random_tensor((out, 1), 2),
    }


def hqq(module: str, out: int, into: int) -> dict[str, Stored]:
    """HQQ's layers."""
    return {
        f"{module}.W_q": bits((out * into // 2, 1), 1),
        f"{module}.scale": random_tensor((out, 1), 2, "F16"),
        f"{module}.zero": random_tensor((out, 1), 3, "F16"),
        f"{module}.nbits": bits((1,), 4, "I32"),
    }


PACKINGS = {
    "modelopt": (nvfp4, {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["*attn*"]}),
    "nvfp4": (nvfp4, {"quant_method": "nvfp4"}),
    "torchao": (torchao, {"quant_method": "torchao", "quant_type": {"default": {}}}),
    "hqq": (hqq, {"quant_method": "hqq", "skip_modules": ["self_attn"]}),
}
"""`quant_method` -> how it stores a weight, and its settings. None of them is de-quantised here."""


def pack(base: Path, kind: str, *, metadata: Mapping[str, str] | None = None) -> None:
    """Pack the layers of the feed-forward part of a base."""
    store, settings = PACKINGS[kind]
    tensors = making.load(base / "model.safetensors")
    for module, (out, into) in making.MODULES.items():
        if module.endswith(MLP):
            del tensors[f"{module}.weight"]
            tensors |= store(module, out, into)
    making.save(base / "model.safetensors", tensors, metadata)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))


def check_kept(base: Path, merged: Path, changed: tuple[str, ...]) -> None:
    """Assert that only the tensors that end so have other bytes, and the config is the base's."""
    before, after = (making.load(folder / "model.safetensors") for folder in (base, merged))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        is_changed = name.endswith(tuple(f"{part}.weight" for part in changed))
        assert (after[name] == tensor) != is_changed, name
    configs = [json.loads((folder / "config.json").read_text()) for folder in (base, merged)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("kind", PACKINGS)
def test_packed_weights_of_any_kind_are_copied(kind: str, tmp_path: Path) -> None:
    """The dense layers are merged, and the report says what is not verified and why."""
    base = make_base(tmp_path / "base", files=1)
    pack(base, kind)
    make_lora(tmp_path / "adapter", ("q_proj", "o_proj"))
    report = merge(merge_settings(tmp_path, verify=True))
    check_kept(base, tmp_path / "merged", ("q_proj", "o_proj"))
    assert report.verification is None
    assert any("no packed weight changes" in line for line in report.warnings)
    assert any("not verified" in line for line in report.warnings)
    provenance = json.loads((tmp_path / "merged" / "merge.json").read_text())
    assert provenance["quantised"] == kind


@pytest.mark.parametrize("kind", PACKINGS)
def test_a_packed_weight_that_would_change_is_named(kind: str, tmp_path: Path) -> None:
    """With the reason, and nothing is written."""
    base = make_base(tmp_path / "base", files=1)
    pack(base, kind)
    make_lora(tmp_path / "adapter", ("q_proj", "down_proj"))
    with pytest.raises(SetupError) as raised:
        merge(merge_settings(tmp_path))
    message = raised.value.message
    assert "'model.layers.0.mlp.down_proj.weight'" in message
    assert "q_proj" not in message
    assert f"quantised with '{kind}'" in message
    assert not (tmp_path / "merged").exists()


def test_the_words_of_a_packing_in_the_header_stay(tmp_path: Path) -> None:
    """torchao rebuilds its tensors from them."""
    base = make_base(tmp_path / "base", files=1)
    words = {"format": "pt", "model.layers.0.mlp.up_proj.weight": '{"_type": "Int8Tensor"}'}
    pack(base, "torchao", metadata=words)
    make_lora(tmp_path / "adapter", ("q_proj",))
    for limit in (None, 2_000):
        merge(merge_settings(tmp_path, max_shard_bytes=limit, overwrite=True))
        files = sorted((tmp_path / "merged").glob("*.safetensors"))
        assert len(files) > 1 or limit is None
        for path in files:
            with safetensors.safe_open(path, "pt") as file:
                assert file.metadata() == words


def test_a_dtype_is_for_plain_tensors(tmp_path: Path) -> None:
    """Scales of a packed weight keep theirs."""
    base = make_base(tmp_path / "base", files=1)
    pack(base, "hqq")
    make_lora(tmp_path / "adapter", ("q_proj",))
    merge(merge_settings(tmp_path, dtype="float32"))
    before, after = (
        making.load(tmp_path / name / "model.safetensors") for name in ("base", "merged")
    )
    for name, tensor in before.items():
        is_packed = name.rpartition(".")[0].endswith(MLP)
        assert after[name].dtype == (tensor.dtype if is_packed else "F32")


def test_settings_that_lie_beside_the_config_come_along(tmp_path: Path) -> None:
    """Older checkpoints of ModelOpt describe their packing in a file of their own alone."""
    base = make_base(tmp_path / "base", files=1)
    pack(base, "modelopt")
    config = json.loads((base / "config.json").read_text())
    del config["quantization_config"]
    (base / "config.json").write_text(json.dumps(config))
    settings = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
    (base / "hf_quant_config.json").write_text(json.dumps(settings))
    make_lora(tmp_path / "adapter", ("q_proj",))
    merge(merge_settings(tmp_path))
    check_kept(base, tmp_path / "merged", ("q_proj",))
    copied = json.loads((tmp_path / "merged" / "hf_quant_config.json").read_text())
    assert copied == settings


@pytest.mark.parametrize("kind", ["gptq", "packed", "bitsandbytes 4"])
def test_a_known_packing_stays_where_no_packed_weight_changes(kind: str, tmp_path: Path) -> None:
    """Such as compressed-tensors with ignored modules; before, the whole base was made dense."""
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(base, kind, "q_proj")
    make_lora(tmp_path / "adapter", ("q_proj",))
    merge(merge_settings(tmp_path))
    check_kept(base, tmp_path / "merged", ("q_proj",))


def test_a_config_that_packs_while_it_loads_stays(tmp_path: Path) -> None:
    """The files hold plain weights, all of which can be merged into."""
    settings = {"quant_method": "nvfp4"}
    base = make_base(tmp_path / "base", files=1, quantization_config=settings)
    make_lora(tmp_path / "adapter")
    merge(merge_settings(tmp_path))
    check_kept(base, tmp_path / "merged", ("q_proj", "v_proj", "down_proj"))


def test_attention_of_gpt_oss(tmp_path: Path) -> None:
    """Experts stay in MXFP4, and transformers, which unpacks them, verifies the merge."""
    base = mixtures.make_base("gpt-oss", tmp_path / "base")
    mixtures.pack_experts(base)
    say_packed(base)
    peft_adapters.make(base, tmp_path / "adapter", attention)
    report = merge(merge_settings(tmp_path, verify=True))
    assert report.verification is not None
    check_kept(base, tmp_path / "merged", ("q_proj", "k_proj", "v_proj", "o_proj"))


def attention() -> Any:
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    return mixtures.on_experts(target_modules=targets, target_parameters=None)


def test_experts_of_an_unknown_packing_are_named(tmp_path: Path) -> None:
    """Single experts in four bits: LoRA on the parameter leads to the matrices of the files."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    peft_adapters.make(base, tmp_path / "adapter", mixtures.on_experts)
    tensors: dict[str, torch.Tensor] = {}
    for name, value in load_file(base / "model.safetensors").items():
        tensors[name] = value
        if ".experts." in name:
            tensors[name] = torch.zeros(value.shape[0], value.shape[1] // 2, dtype=torch.uint8)
            tensors[f"{name}_scale"] = torch.ones(value.shape[0], 1)
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text())
    settings = {"quant_method": "modelopt"}
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    with pytest.raises(SetupError, match=r"experts\.0\.\w+\.weight'.*packed \(U8\).*'modelopt'"):
        merge(merge_settings(tmp_path))
