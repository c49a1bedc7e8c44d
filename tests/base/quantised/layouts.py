"""Quantised weights as each library stores them, beside the dense weights that they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file, save_file

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import dense_tensors
from lorabay.base.tensors import Computed
from tests.merge.bases import all_tensors, make_base

GROUP = 8
Packed = tuple[dict[str, torch.Tensor], torch.Tensor]
"""The stored tensors of one weight, by the ends of their names, and the dense weight."""


def numbers(shape: tuple[int, ...], seed: int, high: int = 16) -> torch.Tensor:
    return torch.randint(
        high, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.int64
    )


def words(nibbles: torch.Tensor, order: tuple[int, ...] = tuple(range(8))) -> torch.Tensor:
    """Eight numbers of four bits in each int32, the k-th at position order[k]."""
    parts = nibbles.reshape(*nibbles.shape[:-1], -1, 8)
    packed = sum(parts[..., k] << (4 * order[k]) for k in range(8))
    return torch.as_tensor(packed).to(torch.int64).numpy().astype(np.uint32).view(np.int32).copy()  # type: ignore[return-value]


def packed_gptq(out: int, into: int, seed: int) -> Packed:
    """GPTQ's first version: zero points less one, and `g_idx` that shuffles the groups."""
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


def packed_awq(out: int, into: int, seed: int) -> Packed:
    """AWQ: the columns of each word in an order of its own."""
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


def compressed(
    form: str, *, block: tuple[int, int] = (1, GROUP), **arguments: Any
) -> Callable[[int, int, int], Packed]:
    """compressed-tensors by the library itself, in float32, so that it rounds nothing."""

    def make(out: int, into: int, seed: int) -> Packed:
        weights = QuantizationArgs(**arguments)
        scheme = QuantizationScheme(targets=["Linear"], weights=weights)
        dense = torch.randn(out, into, generator=torch.Generator().manual_seed(seed))
        rows, columns = -(-out // block[0]), -(-into // block[1])
        columns = {"group": columns, "block": columns, "channel": 1}.get(arguments["strategy"], 0)
        scale = torch.rand(rows, columns) * 0.2 + 0.1 if columns else torch.rand(1) * 0.01 + 0.01
        state = {"weight": dense, "weight_scale": scale}
        if not weights.symmetric:
            state["weight_zero_point"] = (numbers((out, columns or 1), seed) - 8).to(torch.int8)
        compressor = BaseCompressor.get_value_from_registry(form)
        stored = compressor.compress(state, scheme)
        return stored, compressor.decompress(stored, scheme)["weight"].float()

    return make


def float8(out: int, into: int, seed: int) -> Packed:
    """FP8 in blocks of 16 x 16 with a scale each."""
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
    "gptq": (
        packed_gptq,
        {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": True},
    ),
    "awq": (
        packed_awq,
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
    """Quantise the linear weights of a base in one file, except `skipped`; return them dense."""
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


def check_every_number(folder: Path, kind: str) -> None:
    """Quantise a base in `folder`; every weight comes out as the layout defines it."""
    base = make_base(folder, files=1, dtype="F16")
    names = set(all_tensors(base))
    expected = quantise(base, kind)
    dense = dense_tensors(BaseFiles.open_whole(base))
    assert set(dense.tensors) == names
    assert len(expected) == 14
    for name, weight in expected.items():
        source = dense.tensors[name]
        assert isinstance(source, Computed)
        assert source.shape == tuple(weight.shape)
        np.testing.assert_allclose(source.values(), weight.numpy(), rtol=2e-7, atol=0)
