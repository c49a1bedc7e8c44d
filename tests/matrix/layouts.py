"""One adapter of PEFT in the layouts of other classes, wrappers and trainers.

Each is the same change of the base, written as its trainer writes it. The sources of the layouts
are named in the docstrings of `lorabay.formats.trainers`, and their names for modules are those of
`tests.formats.trainers.left_behind`. A layout that a trainer does not have for an architecture is
None.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

from tests.formats.trainers.left_behind import MISTRAL, ROTATED, TORCHTUNE, interleaved
from tests.matrix.architectures import EXPERTS, HEAD_SIZE, HEADS, KV_HEADS, Architecture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import torch

    Tensors = dict[str, torch.Tensor]

PREFIX = "base_model.model."
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
HEAD = "lm_head"

TINKERS = frozenset({
    "Llama", "Qwen3", "Qwen3-VL", "Qwen3-MoE", "Qwen3-MoE, experts", "gpt-oss", "gpt-oss, experts",
    "DeepSeek-V2", "DeepSeek-V2, experts",
})  # fmt: skip
"""Architectures of the models that Tinker trains."""


@dataclass(frozen=True)
class Original:
    """The adapter as PEFT saved it, of an architecture. `with_head` also has LoRA on the head."""

    architecture: Architecture
    folder: Path
    with_head: Path | None

    def pairs(self, folder: Path | None = None) -> Iterator[Pair]:
        """Yield the factors of every module, of this adapter or of another one."""
        in_turns = self.architecture.name.startswith("gpt-oss")
        return pairs(folder or self.folder, in_turns=in_turns)

    @property
    def tensors(self) -> Tensors:
        return load_file(self.folder / WEIGHTS)

    @property
    def config(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / CONFIG).read_text())
        return found

    @property
    def rank(self) -> int:
        return int(str(self.config["r"]))

    @property
    def scale(self) -> float:
        return float(str(self.config["lora_alpha"])) / self.rank


@dataclass(frozen=True)
class Pair:
    """A and B of one module, (rank, inputs) and (outputs, rank), by its name in a class for text.

    The experts of a layer have three dimensions, the first of which counts them, and are named
    `...experts.gate_proj` and so on.
    """

    module: str
    a: torch.Tensor
    b: torch.Tensor


def pairs(folder: Path, *, experts: int = EXPERTS, in_turns: bool = False) -> Iterator[Pair]:
    """Yield the factors of every module of an adapter that PEFT saved.

    `in_turns` is whether the base has the rows of gate and up in turns, as gpt-oss has.
    """
    tensors = load_file(folder / WEIGHTS)
    for name, a in tensors.items():
        if not name.endswith(".lora_A.weight"):
            continue
        module = name.removeprefix(PREFIX).removesuffix(".lora_A.weight")
        module = module.replace("model.language_model.", "model.")
        b = tensors[name.replace("lora_A", "lora_B")]
        if ".experts" in module:
            yield from _expert_pairs(module, a, b, experts, in_turns=in_turns)
        else:
            yield Pair(module, a, b)


def _expert_pairs(
    wrapper: str, a: torch.Tensor, b: torch.Tensor, count: int, *, in_turns: bool
) -> Iterator[Pair]:
    """Yield the factors of all experts by matrix; those of gate and up share A."""
    experts = wrapper.removesuffix(".base_layer")
    a = a.reshape(count, -1, a.shape[1])
    b = b.reshape(b.shape[0], -1, count).permute(2, 0, 1)
    if wrapper == experts:
        yield Pair(f"{experts}.down_proj", a, b)
        return
    gate, up = (b[:, ::2], b[:, 1::2]) if in_turns else b.chunk(2, dim=1)
    yield Pair(f"{experts}.gate_proj", a, gate)
    yield Pair(f"{experts}.up_proj", a.clone(), up)


def _renamed(original: Original, folder: Path, change: Callable[[str], str]) -> Path:
    shutil.copytree(original.folder, folder)
    tensors = {change(name): value for name, value in original.tensors.items()}
    save_file(tensors, folder / WEIGHTS)
    return folder


def _written(
    folder: Path, file: str, tensors: Mapping[str, torch.Tensor], config_file: str, config: object
) -> Path:
    folder.mkdir(parents=True)
    save_file({name: value.contiguous().clone() for name, value in tensors.items()}, folder / file)
    (folder / config_file).write_text(json.dumps(config))
    return folder


def peft(original: Original, folder: Path) -> Path:
    """PEFT's own: also that of TRL, axolotl, LLaMA-Factory, unsloth, ms-swift and torchtune's
    checkpointer for Hugging Face.
    """
    return shutil.copytree(original.folder, folder)


def wrapped(original: Original, folder: Path) -> Path:
    """What FSDP, `torch.compile` and activation checkpoints leave in the names."""
    return _renamed(original, folder, _wrapped)


def _wrapped(name: str) -> str:
    name = name.replace(PREFIX, f"{PREFIX}_orig_mod.", 1)
    return name.replace(".self_attn.", "._fsdp_wrapped_module.self_attn.")


def other_class(original: Original, folder: Path) -> Path:
    """A class for text where the base has a tower, and one for images where it has none."""
    one, two = f"{PREFIX}model.layers.", f"{PREFIX}model.language_model.layers."
    if original.architecture.has_tower:
        one, two = two, one
    return _renamed(original, folder, lambda name: name.replace(one, two))


def mlx_lm(original: Original, folder: Path) -> Path:
    """`LoRALinear` and `LoRASwitchLinear` of mlx-lm, whose classes have names of their own for
    experts, and the language model deeper beside a tower.
    """
    tensors: Tensors = {}
    for pair in original.pairs():
        module = pair.module
        if original.architecture.name.startswith("Mixtral"):
            module = module.replace(".mlp.experts.", ".block_sparse_moe.experts.")
        if not original.architecture.name.startswith("gpt-oss"):
            module = module.replace(".experts.", ".switch_mlp.")
        if original.architecture.has_tower:
            module = f"language_model.{module}"
        is_switch = pair.a.dim() == 3
        tensors[f"{module}.lora_a"] = pair.a if is_switch else pair.a.T
        tensors[f"{module}.lora_b"] = pair.b if is_switch else pair.b.T
    parameters = {"rank": original.rank, "dropout": 0.0, "scale": original.scale}
    config = {"model": "base", "fine_tune_type": "lora", "lora_parameters": parameters}
    return _written(folder, "adapters.safetensors", tensors, CONFIG, config)


def mistral_finetune(original: Original, folder: Path) -> Path | None:
    """mistral-finetune trains Mistral's own models, attention and dense layers."""
    if original.architecture.name not in {"Mistral", "Mixtral"}:
        return None
    tensors: Tensors = {}
    for pair in original.pairs():
        layer, leaf = _layer(pair.module)
        name = f"layers.{layer}.{MISTRAL[leaf]}"
        tensors |= {f"{name}.lora_A.weight": pair.a, f"{name}.lora_B.weight": _own_rows(pair, leaf)}
    params = {
        "dim": 128,
        "n_layers": 2,
        "head_dim": HEAD_SIZE,
        "n_heads": HEADS,
        "n_kv_heads": KV_HEADS,
        "lora": {"enable": True, "rank": original.rank, "dropout": 0.1, "scaling": original.scale},
    }
    return _written(folder, "lora.safetensors", tensors, "params.json", params)


def torchtune(original: Original, folder: Path) -> Path | None:
    """torchtune has model builders for some families; its files are pickles until they are
    converted.
    """
    name = original.architecture.name
    if name not in {"Llama", "Mistral", "Qwen2", "Qwen3"}:
        return None
    tensors: Tensors = {}
    for pair in original.pairs():
        layer, leaf = _layer(pair.module)
        module = f"layers.{layer}.{TORCHTUNE[leaf]}"
        b = pair.b if name.startswith("Qwen") else _own_rows(pair, leaf)
        tensors |= {f"{module}.lora_a.weight": pair.a, f"{module}.lora_b.weight": b}
    config = {"r": original.rank, "lora_alpha": original.config["lora_alpha"]}
    return _written(folder, WEIGHTS, tensors, CONFIG, config)


def tinker(original: Original, folder: Path) -> Path | None:
    """Tinker trains the head and the experts by default, under names of its own."""
    if original.with_head is None or original.architecture.name not in TINKERS:
        return None
    tensors: Tensors = {}
    for pair in original.pairs(original.with_head):
        module = "model.unembed_tokens" if pair.module == HEAD else pair.module
        for leaf, own in (("gate_proj", "w1"), ("down_proj", "w2"), ("up_proj", "w3")):
            module = module.replace(f".experts.{leaf}", f".experts.{own}")
        if original.architecture.name.startswith("gpt-oss"):
            module = module.replace(".self_attn.", ".attn.")
        name = f"{PREFIX}{module}"
        tensors |= {f"{name}.lora_A.weight": pair.a, f"{name}.lora_B.weight": pair.b}
    config = {
        "peft_type": "LORA",
        "r": original.rank,
        "lora_alpha": original.config["lora_alpha"],
        "target_modules": "all-linear",
    }
    return _written(folder, WEIGHTS, tensors, CONFIG, config)


def swift(original: Original, folder: Path) -> Path | None:
    """ms-swift's own tuner: PEFT's factors with the tuner's name in theirs."""
    if original.architecture.experts:
        return None
    tensors = {
        name.removeprefix(PREFIX).removesuffix(".weight") + ".default.weight": value
        for name, value in original.tensors.items()
    }
    config = {
        "swift_type": "LORA",
        "r": original.rank,
        "lora_alpha": original.config["lora_alpha"],
        "target_modules": original.config["target_modules"],
    }
    return _written(folder, WEIGHTS, tensors, CONFIG, config)


LAYOUTS: dict[str, Callable[[Original, Path], Path | None]] = {
    "PEFT": peft,
    "PEFT, wrapped": wrapped,
    "PEFT, other class": other_class,
    "mlx-lm": mlx_lm,
    "mistral-finetune": mistral_finetune,
    "torchtune": torchtune,
    "Tinker": tinker,
    "ms-swift": swift,
}

OWN_FORMATS = frozenset({"mlx-lm", "mistral-finetune", "torchtune", "Tinker", "ms-swift"})
"""Layouts that `lorabay convert` makes PEFT's first."""


def _layer(module: str) -> tuple[str, str]:
    """Return the number of a module's layer, and its name in there."""
    _, _, layer, leaf = module.split(".", 3)
    return layer, leaf


def _own_rows(pair: Pair, leaf: str) -> torch.Tensor:
    """Return B with the rows of a rotated module in Meta's and Mistral's order."""
    if leaf not in ROTATED:
        return pair.b
    return interleaved(pair.b, HEADS if leaf.endswith("q_proj") else KV_HEADS)
