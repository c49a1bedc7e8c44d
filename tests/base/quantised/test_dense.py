"""Quantised bases: what each layout holds comes out to the last bit, merges like a dense base, or
is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file, save_file

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import dense_tensors
from lorabay.errors import SetupError
from lorabay.merge.run import merge
from lorabay.merge.tensors import Computed
from tests import making
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

GROUP = 8
Packed = tuple[dict[str, torch.Tensor], torch.Tensor]
"""The stored tensors of one weight, by the ends of their names, and the dense weight that they
stand for.
"""
Adapter = tuple[dict[str, object], dict[str, making.Stored]]
"""A config and tensors."""


def numbers(shape: tuple[int, ...], seed: int, high: int = 16) -> torch.Tensor:
    return torch.randint(
        high, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int64
    )


def words(nibbles: torch.Tensor, order: tuple[int, ...] = tuple(range(8))) -> torch.Tensor:
    """Eight numbers of four bits in each int32, the k-th at position order[k]."""
    parts = nibbles.reshape(*nibbles.shape[:-1], -1, 8)
    packed = sum(parts[..., k] << (4 * order[k]) for k in range(8))
    return torch.as_tensor(packed).to(torch.int64).numpy().astype(np.uint32).view(np.int32).copy()  # type: ignore[return-value]


def gptq(out: int, into: int, seed: int) -> Packed:
    """The zero point is stored less one; `g_idx` shuffles the groups."""
    q, z = numbers((into, out), seed), numbers((into // GROUP, out), seed + 1)
    s = torch.rand(into // GROUP, out, generator=torch.Generator().manual_seed(seed)).half()
    g_idx = torch.randperm(into, generator=torch.Generator().manual_seed(seed)) // GROUP
    dense = ((q - z[g_idx]).float() * s[g_idx].float()).T
    stored = {
        "qweight": torch.from_numpy(words(q.T.contiguous())).T.contiguous(),
        "qzeros": torch.from_numpy(words((z - 1) & 15)),
        "scales": s,
        "g_idx": g_idx.int(),
    }
    return stored, dense


def awq(out: int, into: int, seed: int) -> Packed:
    """The columns of a word in AWQ's order."""
    q, z = numbers((into, out), seed), numbers((into // GROUP, out), seed + 1)
    s = torch.rand(into // GROUP, out, generator=torch.Generator().manual_seed(seed)).half()
    groups = torch.arange(into) // GROUP
    order = (0, 4, 1, 5, 2, 6, 3, 7)
    stored = {
        "qweight": torch.from_numpy(words(q, order)),
        "qzeros": torch.from_numpy(words(z, order)),
        "scales": s,
    }
    return stored, ((q - z[groups]).float() * s[groups].float()).T


def four_bits(out: int, into: int, seed: int) -> Packed:
    """bitsandbytes with scales that are quantised themselves."""
    codes, table = numbers((out * into,), seed), torch.linspace(-1, 1, 16)
    blocks = out * into // 64
    inner, outer = numbers((blocks,), seed, 256), torch.rand(-(-blocks // 256))
    nested = torch.linspace(-1, 1, 256)
    scales = nested[inner] * outer.repeat_interleave(256)[:blocks] + 0.5
    dense = (table[codes] * scales.repeat_interleave(64)).reshape(out, into)
    facts = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [out, into]}
    facts |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.5}
    stored = {
        "weight": ((codes[0::2] << 4) | codes[1::2]).to(torch.uint8)[:, None],
        "weight.absmax": inner.to(torch.uint8),
        "weight.quant_map": table,
        "weight.nested_absmax": outer,
        "weight.nested_quant_map": nested,
        "weight.quant_state.bitsandbytes__nf4": torch.tensor(
            list(json.dumps(facts).encode()), dtype=torch.uint8
        ),
    }
    return stored, dense


def eight_bits(out: int, into: int, seed: int) -> Packed:
    """bitsandbytes' rows of int8."""
    q, scales = numbers((out, into), seed, 255) - 127, torch.rand(out) + 0.1
    stored = {
        "weight": q.to(torch.int8),
        "SCB": scales,
        "weight_format": torch.tensor(0, dtype=torch.uint8),
    }
    return stored, q.float() * (scales / 127.0)[:, None]


def compressed(form: str, **arguments: Any) -> Callable[[int, int, int], Packed]:
    """By the library itself, in float32 so that its own de-quantising rounds nothing."""

    def make(out: int, into: int, seed: int) -> Packed:
        weights = QuantizationArgs(**arguments)
        scheme = QuantizationScheme(targets=["Linear"], weights=weights)
        dense = torch.randn(out, into, generator=torch.Generator().manual_seed(seed))
        columns = {"group": into // GROUP, "channel": 1}.get(str(arguments["strategy"]))
        scale = torch.rand(out, columns) * 0.2 + 0.1 if columns else torch.rand(1) * 0.01 + 0.01
        state = {"weight": dense, "weight_scale": scale}
        if not weights.symmetric:
            state["weight_zero_point"] = (numbers((out, columns or 1), seed) - 8).to(torch.int8)
        compressor = BaseCompressor.get_value_from_registry(form)
        stored = compressor.compress(state, scheme)
        return stored, compressor.decompress(stored, scheme)["weight"].float()

    return make


def float8(out: int, into: int, seed: int) -> Packed:
    """Blocks of 16 x 16 with a scale each."""
    q = torch.randn(out, into, generator=torch.Generator().manual_seed(seed)).to(
        torch.float8_e4m3fn
    )
    scale = torch.rand(-(-out // 16), -(-into // 16)) + 0.1
    wide = scale.repeat_interleave(16, 0)[:out].repeat_interleave(16, 1)[:, :into]
    return {"weight": q, "weight_scale_inv": scale}, q.float() * wide


def int4(**more: object) -> dict[str, object]:
    weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP, **more}
    return {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"g": {"weights": weights}},
    }


def few_bits(form: str, kind: str) -> dict[str, object]:
    weights = {"num_bits": 8, "type": kind, "strategy": "channel"}
    return {
        "quant_method": "compressed-tensors",
        "format": form,
        "config_groups": {"g": {"weights": weights}},
    }


KINDS: dict[str, tuple[Callable[[int, int, int], Packed], dict[str, object]]] = {
    "gptq": (gptq, {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": True}),
    "awq": (
        awq,
        {
            "quant_method": "awq",
            "bits": 4,
            "group_size": GROUP,
            "version": "gemm",
            "zero_point": True,
        },
    ),
    "bitsandbytes 4": (four_bits, {"quant_method": "bitsandbytes", "load_in_4bit": True}),
    "bitsandbytes 8": (eight_bits, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "packed": (
        compressed(
            "pack-quantized", num_bits=4, strategy="group", group_size=GROUP, symmetric=True
        ),
        int4(),
    ),
    "packed with zero points": (
        compressed(
            "pack-quantized", num_bits=4, strategy="group", group_size=GROUP, symmetric=False
        ),
        int4(symmetric=False),
    ),
    "int8": (
        compressed("int-quantized", num_bits=8, strategy="channel"),
        few_bits("int-quantized", "int"),
    ),
    "float8": (
        compressed("float-quantized", num_bits=8, type="float", strategy="channel"),
        few_bits("float-quantized", "float"),
    ),
    "float8 by block": (float8, {"quant_method": "fp8", "weight_block_size": [16, 16]}),
}


def quantise(base: Path, kind: str, skipped: str = "nothing") -> dict[str, torch.Tensor]:
    """Replace every linear weight of a base in one file but those of `skipped`; gives what they
    stand for.
    """
    make, settings = KINDS[kind]
    tensors = load_file(base / "model.safetensors")
    dense: dict[str, torch.Tensor] = {}
    linear = [
        name
        for name in tensors
        if ".layers." in name and tensors[name].ndim == 2 and skipped not in name
    ]
    for seed, name in enumerate(linear):
        module = name.removesuffix(".weight")
        out, into = tensors.pop(name).shape
        parts, dense[name] = make(out, into, seed)
        tensors |= {f"{module}.{part}": tensor.contiguous() for part, tensor in parts.items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_bytes())
    (base / "config.json").write_text(json.dumps({**config, "quantization_config": settings}))
    return dense


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_comes_out(tmp_path: Path, kind: str) -> None:
    """As the layout defines it, in float32; nothing of the packing is left."""
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    names = set(all_tensors(base))
    expected = quantise(base, kind)
    found = dense_tensors(BaseFiles.open_whole(base))
    assert set(found.tensors) == names
    assert len(expected) == 14
    for name, dense in expected.items():
        source = found.tensors[name]
        assert isinstance(source, Computed)
        assert source.shape == tuple(dense.shape)
        np.testing.assert_allclose(source.load(), dense.numpy(), rtol=2e-7, atol=0)


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


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"quant_method": "quip"}, "quantised with 'quip'"),
        ({"quant_method": "gptq", "bits": 3}, "GPTQ with 3 bits"),
        ({"quant_method": "awq", "version": "gemv"}, "version 'gemv'"),
        (
            {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"},
            "nvfp4-pack-quantized",
        ),
        ({"quant_method": "gptq"}, "holds no such weights"),
    ],
)
def test_what_is_not_known_is_refused(
    tmp_path: Path, settings: dict[str, object], text: str
) -> None:
    """By its name."""
    make_base(tmp_path / "base", quantization_config=settings)
    with pytest.raises(SetupError, match=text):
        dense_tensors(BaseFiles.open_whole(tmp_path / "base"))
