"""Small random bases in several files, adapters for them, and a merge on them. Nothing here is the
code under test, except what `merge_settings` hands over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from lorabay.merge.job import MergeSettings
from tests import making
from tests.making import Stored, stored

HIDDEN, INNER, KV, VOCABULARY, LAYERS = 16, 32, 8, 64, 2
SHAPES = {
    "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
    **{f"{module}.weight": shape for module, shape in making.MODULES.items()},
    **{f"model.layers.{layer}.input_layernorm.weight": (HIDDEN,) for layer in range(LAYERS)},
    **{
        f"model.layers.{layer}.post_attention_layernorm.weight": (HIDDEN,)
        for layer in range(LAYERS)
    },
    "model.norm.weight": (HIDDEN,),
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "_name_or_path": making.BASE_NAME,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "dtype": "bfloat16",
}


def random_tensor(
    shape: tuple[int, ...], seed: int, dtype: str = "BF16", scale: float = 1.0
) -> Stored:
    """Return normal numbers that are exact in the dtype."""
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(
        scale
    )
    return stored(values, dtype)


def make_base(
    folder: Path, *, files: int = 2, tied: bool = True, dtype: str = "BF16", **config: object
) -> Path:
    """Make a llama of two layers, in several files with an index or in one without."""
    folder.mkdir(parents=True)
    shapes = SHAPES if tied else {**SHAPES, "lm_head.weight": (VOCABULARY, HIDDEN)}
    tensors = {
        name: random_tensor(shape, seed, dtype, 0.2)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    names = list(tensors)
    if files == 1:
        making.save(folder / "model.safetensors", tensors)
    else:
        weight_map = {}
        for number in range(files):
            file = f"model-{number + 1:05}-of-{files:05}.safetensors"
            part = names[number::files]
            making.save(folder / file, {name: tensors[name] for name in part})
            weight_map |= dict.fromkeys(part, file)
        index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(
        json.dumps({**CONFIG, "tie_word_embeddings": tied, **config})
    )
    return folder


def make_lora(
    folder: Path,
    targets: tuple[str, ...] = ("q_proj", "v_proj", "down_proj"),
    *,
    dtype: str = "F32",
    **fields: object,
) -> Path:
    """Make a LoRA of rank 4 with random factors."""
    tensors = {}
    for seed, (module, (out, into)) in enumerate(making.MODULES.items()):
        if module.rpartition(".")[2] in targets:
            for part, shape in (("A", (4, into)), ("B", (out, 4))):
                name = f"{making.PREFIX}{module}.lora_{part}.weight"
                tensors[name] = random_tensor(shape, 100 + 2 * seed + (part == "B"), dtype, 0.1)
    return making.make_adapter(
        folder, config=making.lora_config(targets, **fields), tensors=tensors
    )


def merge_settings(tmp_path: Path, **changes: Any) -> MergeSettings:
    """Return an unverified merge of `adapter` into `base`, written to `merged` by two workers."""
    defaults: dict[str, Any] = {
        "adapter": str(tmp_path / "adapter"),
        "output": tmp_path / "merged",
        "base": tmp_path / "base",
        "adapters": tmp_path / "adapters",
        "store": tmp_path / "store",
        "verify": False,
        "workers": 2,
    }
    return MergeSettings(**{**defaults, **changes})


def all_tensors(folder: Path) -> dict[str, Stored]:
    """Return every tensor of a model folder, as its index names them."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return making.load(folder / "model.safetensors")
    weight_map = json.loads(index.read_bytes())["weight_map"]
    found: dict[str, Stored] = {}
    for file in sorted(set(weight_map.values())):
        found |= making.load(folder / file)
    assert set(found) == set(weight_map)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
