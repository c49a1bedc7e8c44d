"""Adapters as other trainers leave them, written as their own code writes them, each with the
weights that the trainer's own formula makes of a base's.

The sources are named in the docstrings of `lorabay.formats.trainers`. None of the trainers is
installed; formulas and layouts here are written anew from their code, in torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from tests.peft_adapters import LINEAR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    Tensors = dict[str, torch.Tensor]

RANK, SCALE, ALPHA = 4, 2.5, 6.0
HEADS, KV_HEADS, HEAD_SIZE = 4, 2, 8
LAYERS = 2


@dataclass(frozen=True)
class Left:
    """A trainer's folder, and the weights of the base with its adapter."""

    folder: Path
    merged: Mapping[str, torch.Tensor]


def leaves() -> list[str]:
    """Modules of a Llama layer."""
    return [f"self_attn.{leaf}" for leaf in LINEAR[:4]] + [f"mlp.{leaf}" for leaf in LINEAR[4:]]


def noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def pair(weight: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A (rank, inputs) and B (outputs, rank)."""
    outputs, inputs = weight.shape
    return noise(RANK, inputs, seed=seed), noise(outputs, RANK, seed=seed + 1000)


def modules() -> list[str]:
    return [f"model.layers.{layer}.{leaf}" for layer in range(LAYERS) for leaf in leaves()]


@dataclass(frozen=True)
class Trained:
    """A module that was trained, as transformers names it: its layer, its leaf, A and B."""

    weight_name: str
    layer: str
    leaf: str
    number: int
    a: torch.Tensor
    b: torch.Tensor


def trained(weights: Mapping[str, torch.Tensor]) -> Iterator[Trained]:
    """Yield every linear module of the base with factors of its own."""
    for number, module in enumerate(modules()):
        name = f"{module}.weight"
        _, _, layer, leaf = module.split(".", 3)
        yield Trained(name, layer, leaf, number, *pair(weights[name], number))


def write(folder: Path, file: str, tensors: Tensors, config_file: str, config: object) -> None:
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / file)
    (folder / config_file).write_text(json.dumps(config))


def base_of_experts(base: Path, leaf: str) -> list[str]:
    """Make a base of three experts of one layer, a module each; return their weights' names."""
    names = [f"model.layers.0.mlp.experts.{expert}.{leaf}.weight" for expert in range(3)]
    weights = {name: noise(6, 5, seed=expert) for expert, name in enumerate(names)}
    base.mkdir()
    save_file(weights, base / "model.safetensors")
    (base / "config.json").write_text('{"model_type": "qwen3_moe"}')
    return names


def mlx_config(**fields: object) -> dict[str, object]:
    parameters = {"rank": RANK, "dropout": 0.0, "scale": SCALE}
    return {
        "model": "tiny",
        "fine_tune_type": "lora",
        "num_layers": LAYERS,
        "lora_parameters": parameters,
        "iters": 1000,
    } | fields


def mlx_lm(base: Path, folder: Path, *, dora: bool = False, embedding: bool = False) -> Left:
    """`LoRALinear.fuse`, `DoRALinear.fuse` and `LoRAEmbedding.fuse` of mlx-lm."""
    merged = load_file(base / "model.safetensors")
    tensors: Tensors = {}
    for number, module in enumerate(modules()):
        weight = merged[f"{module}.weight"]
        a, b = pair(weight, number)
        lora_a, lora_b = a.T, b.T  # (inputs, rank) and (rank, outputs)
        tensors |= {f"{module}.lora_a": lora_a, f"{module}.lora_b": lora_b}
        fused = weight + (SCALE * lora_b.T) @ lora_a.T
        if dora:
            m = torch.linalg.norm(weight, dim=1) * (1 + noise(len(weight), seed=number))
            tensors[f"{module}.m"] = m
            fused = (m / torch.linalg.norm(fused, dim=1))[:, None] * fused
        merged[f"{module}.weight"] = fused

    if embedding:
        name = "model.embed_tokens"
        rows, columns = merged[f"{name}.weight"].shape
        lora_a, lora_b = noise(rows, RANK, seed=7), noise(RANK, columns, seed=8)
        tensors |= {f"{name}.lora_a": lora_a, f"{name}.lora_b": lora_b}
        merged[f"{name}.weight"] = merged[f"{name}.weight"] + (SCALE * lora_a) @ lora_b

    kind = "dora" if dora else "lora"
    config = mlx_config(fine_tune_type=kind)
    write(folder, "adapters.safetensors", tensors, "adapter_config.json", config)
    return Left(folder, merged)


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """`hf_to_tune`'s `_permute` of torchtune: from transformers' rows to Meta's."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def halved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """`permute_for_rope` of transformers: from Meta's and Mistral's rows to transformers'."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


ROTATED = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS}

MISTRAL = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
}

TORCHTUNE = {
    "self_attn.q_proj": "attn.q_proj",
    "self_attn.k_proj": "attn.k_proj",
    "self_attn.v_proj": "attn.v_proj",
    "self_attn.o_proj": "attn.output_proj",
    "mlp.gate_proj": "mlp.w1",
    "mlp.down_proj": "mlp.w2",
    "mlp.up_proj": "mlp.w3",
}


def own_rows(
    weight: torch.Tensor, leaf: str, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Apply `change` to a weight in the trainer's own order of rows."""
    heads = ROTATED.get(leaf)
    if heads is None:
        return change(weight)
    return halved(change(interleaved(weight, heads)), heads)


def _mistral_merge(a: torch.Tensor, b: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return b.mm(a) * SCALE + own


def mistral_finetune(base: Path, folder: Path) -> Left:
    """`LoRALinear.merge_weight` of mistral-finetune, on weights in Mistral's own layout."""
    merged = load_file(base / "model.safetensors")
    tensors: Tensors = {}
    for one in trained(merged):
        name = f"layers.{one.layer}.{MISTRAL[one.leaf]}"
        tensors |= {f"{name}.lora_A.weight": one.a, f"{name}.lora_B.weight": one.b}
        change = partial(_mistral_merge, one.a, one.b)
        merged[one.weight_name] = own_rows(merged[one.weight_name], one.leaf, change)

    params = {
        "dim": 32,
        "n_layers": LAYERS,
        "head_dim": HEAD_SIZE,
        "hidden_dim": 48,
        "n_heads": HEADS,
        "n_kv_heads": KV_HEADS,
        "norm_eps": 1e-05,
        "vocab_size": 64,
        "rope_theta": 1000000.0,
        "lora": {"enable": True, "rank": RANK, "dropout": 0.1, "scaling": SCALE},
        "moe": None,
    }
    write(folder, "lora.safetensors", tensors, "params.json", params)
    return Left(folder, merged)


def _torchtune_lora(a: torch.Tensor, b: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    return own + (ALPHA / RANK) * (b @ a)


def _torchtune_dora(
    a: torch.Tensor, b: torch.Tensor, magnitude: torch.Tensor, own: torch.Tensor
) -> torch.Tensor:
    adapted = _torchtune_lora(a, b, own)
    return (magnitude / torch.linalg.norm(adapted, dim=1))[:, None] * adapted


def torchtune(base: Path, folder: Path, *, dora: bool = False) -> Left:
    """`LoRALinear` and `DoRALinear` of torchtune, on weights as `hf_to_tune` makes them.

    Saved by torch.save, as every checkpointer does; the config is the Hugging Face checkpointer's.
    """
    merged = load_file(base / "model.safetensors")
    tensors: Tensors = {}
    for one in trained(merged):
        name = f"layers.{one.layer}.{TORCHTUNE[one.leaf]}"
        tensors |= {f"{name}.lora_a.weight": one.a, f"{name}.lora_b.weight": one.b}
        change = partial(_torchtune_lora, one.a, one.b)
        if dora:
            magnitude = 1 + noise(len(one.b), seed=one.number).abs()
            tensors[f"{name}.magnitude"] = magnitude
            change = partial(_torchtune_dora, one.a, one.b, magnitude)
        merged[one.weight_name] = own_rows(merged[one.weight_name], one.leaf, change)

    folder.mkdir(parents=True)
    torch.save(tensors, folder / "adapter_0.pt")
    config = {
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": LINEAR,
        "peft_type": "LORA",
        "base_model_name_or_path": "tiny",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return Left(folder, merged)


def tinker(base: Path, folder: Path) -> Left:
    """`merge_adapter_weights` of the Tinker cookbook: PEFT's formula, its own name of the head."""
    merged = load_file(base / "model.safetensors")
    tensors: Tensors = {}
    named = {module: module for module in modules()} | {"lm_head": "model.unembed_tokens"}
    for number, (module, name) in enumerate(named.items()):
        weight = merged[f"{module}.weight"]
        a, b = pair(weight, number)
        prefix = f"base_model.model.{name}"
        tensors |= {f"{prefix}.lora_A.weight": a, f"{prefix}.lora_B.weight": b}
        merged[f"{module}.weight"] = weight + torch.nn.functional.linear(a.T, b * (ALPHA / RANK)).T
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": "all-linear"}
    write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)
    return Left(folder, merged)


def swift(base: Path, folder: Path) -> Left:
    """ms-swift's own LoRA: PEFT's formula, with the tuner's name in the tensors' names."""
    merged = load_file(base / "model.safetensors")
    tensors: Tensors = {}
    for number, module in enumerate(modules()):
        weight = merged[f"{module}.weight"]
        a, b = pair(weight, number)
        tensors |= {f"{module}.lora_A.default.weight": a, f"{module}.lora_B.default.weight": b}
        merged[f"{module}.weight"] = weight + (ALPHA / RANK) * (b @ a)
    config = {
        "swift_type": "LORA",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": LINEAR,
        "model_key_mapping": None,
    }
    write(folder, "adapter_model.safetensors", tensors, "adapter_config.json", config)
    return Left(folder, merged)


TRAINERS: dict[str, Callable[[Path, Path], Left]] = {
    "mlx-lm": mlx_lm,
    "mlx-lm with the embedding": lambda base, folder: mlx_lm(base, folder, embedding=True),
    "mistral-finetune": mistral_finetune,
    "torchtune": torchtune,
    "Tinker": tinker,
    "ms-swift": swift,
}
"""Adapters that are exactly plain LoRA."""
