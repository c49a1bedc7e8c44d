"""A tiny base and adapters for it. Nothing here uses the code under test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import safetensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

HIDDEN, INNER, KV, VOCABULARY, LAYERS = 16, 32, 8, 64, 2
BASE_NAME = "acme/tiny-llama"
PREFIX = "base_model.model."
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64", "I32": "int32"}

LINEAR = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (KV, HIDDEN),
    "self_attn.v_proj": (KV, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
MODULES = {
    f"model.layers.{layer}.{leaf}": shape
    for layer in range(LAYERS)
    for leaf, shape in LINEAR.items()
}


@dataclass(frozen=True)
class Stored:
    """One tensor as it will lie in a file."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def stored(values: NDArray[np.generic], dtype: str = "F32") -> Stored:
    """`values` in `dtype`. Values meant for BF16 should be exact in it: the low bits are cut
    off.
    """
    if dtype == "BF16":
        data = (
            (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16)
            .astype(np.uint16)
            .tobytes()
        )
    else:
        data = np.ascontiguousarray(values, DTYPES[dtype]).tobytes()
    return Stored(dtype, values.shape, data)


def values(tensor: Stored) -> NDArray[np.float32]:
    if tensor.dtype == "BF16":
        bits = np.frombuffer(tensor.data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(tensor.shape)
    return np.frombuffer(tensor.data, DTYPES[tensor.dtype]).astype(np.float32).reshape(tensor.shape)


def save(
    path: Path, tensors: Mapping[str, Stored], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes `tensors` in the order given."""
    header: dict[str, object] = {"__metadata__": dict(metadata or {"format": "pt"})}
    position = 0
    for name, tensor in tensors.items():
        end = position + len(tensor.data)
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header).encode()
    path.write_bytes(
        len(text).to_bytes(8, "little")
        + text
        + b"".join(tensor.data for tensor in tensors.values())
    )


def load(path: Path) -> dict[str, Stored]:
    found = safetensors.deserialize(path.read_bytes())
    return {
        name: Stored(entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
        for name, entry in found
    }


def make_base(folder: Path, *, tied: bool = True) -> Path:
    folder.mkdir(parents=True)
    shapes = {**MODULES, "model.embed_tokens": (VOCABULARY, HIDDEN)}
    if not tied:
        shapes["lm_head"] = (VOCABULARY, HIDDEN)
    tensors = {
        f"{module}.weight": stored(np.zeros(shape), "BF16") for module, shape in shapes.items()
    }
    tensors["model.norm.weight"] = stored(np.ones(HIDDEN), "BF16")
    save(folder / "model.safetensors", tensors)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "_name_or_path": BASE_NAME,
        "tie_word_embeddings": tied,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def make_model(folder: Path, seed: int = 0, **config: object) -> Path:
    """A whole model of the base's shapes, as a full fine-tuning leaves it; `config` over its own.

    A field of None is left out.
    """
    make_base(folder)
    random = np.random.default_rng(seed)
    tensors = {
        name: stored(random.integers(-8, 8, tensor.shape), "BF16")
        for name, tensor in load(folder / "model.safetensors").items()
    }
    save(folder / "model.safetensors", tensors)
    fields = json.loads((folder / "config.json").read_text()) | config
    kept = {name: value for name, value in fields.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    vocabulary = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "b"}))
    return folder


def lora_tensors(
    targets: tuple[str, ...] = ("q_proj", "v_proj"),
    *,
    rank: int | Callable[[str], int] = 4,
    dtype: str = "F32",
    seed: int = 0,
) -> dict[str, Stored]:
    """A and B of every module of the base that ends in one of `targets`; small integers, exact in
    every dtype.
    """
    random = np.random.default_rng(seed)
    tensors: dict[str, Stored] = {}
    for module, (out, into) in MODULES.items():
        if module.rpartition(".")[2] in targets:
            r = rank if isinstance(rank, int) else rank(module)
            tensors[f"{PREFIX}{module}.lora_A.weight"] = stored(
                random.integers(-8, 8, (r, into)), dtype
            )
            tensors[f"{PREFIX}{module}.lora_B.weight"] = stored(
                random.integers(-8, 8, (out, r)), dtype
            )
    return tensors


def lora_config(
    targets: tuple[str, ...] = ("q_proj", "v_proj"), **fields: object
) -> dict[str, object]:
    """What PEFT writes, with `fields` put over it; a field of None is left out."""
    config: dict[str, object] = {
        "peft_type": "LORA",
        "base_model_name_or_path": BASE_NAME,
        "task_type": "CAUSAL_LM",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": list(targets),
        "bias": "none",
        "lora_dropout": 0.05,
        "init_lora_weights": True,
        "inference_mode": True,
        "modules_to_save": None,
        "use_dora": False,
    }
    return {name: value for name, value in (config | fields).items() if value is not None}


def make_adapter(
    folder: Path,
    *,
    config: Mapping[str, object] | None = None,
    tensors: Mapping[str, Stored] | None = None,
) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps(lora_config() if config is None else config)
    )
    save(folder / "adapter_model.safetensors", lora_tensors() if tensors is None else tensors)
    return folder
