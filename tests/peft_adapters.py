"""Adapters of every format on a tiny random Llama, made and saved by PEFT itself, and what PEFT
makes of the weights.

Training steps are stood in for by random values in every parameter that PEFT would train.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import peft
import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from lorabay.base.transformers_quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HIDDEN, INNER, VOCABULARY = 32, 48, 64
ATTENTION = ["q_proj", "v_proj"]
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
EVERYTHING = "all-linear"


def make_base(folder: Path, *, tied: bool = False, bias: bool = False, seed: int = 0) -> Path:
    """A Llama of two layers; outputs and inputs of its layers all differ somewhere."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        hidden_size=HIDDEN,
        intermediate_size=INNER,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        attention_bias=bias,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    return folder


def make_gpt2(folder: Path) -> Path:
    """A GPT-2 of two layers, whose linear layers lie the other way round."""
    torch.manual_seed(0)
    config = GPT2Config(
        n_embd=HIDDEN,
        n_layer=2,
        n_head=4,
        vocab_size=VOCABULARY,
        n_positions=64,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Made:
    """An adapter on disk and the base with it, as PEFT has both."""

    folder: Path
    model: peft.PeftModel

    def merged(self) -> Mapping[str, torch.Tensor]:
        """The weights of the base after PEFT's own merge."""
        model = self.model.merge_and_unload()
        return {name: value.detach().clone() for name, value in model.state_dict().items()}

    def logits(self) -> torch.Tensor:
        """What the model with its adapter answers to a fixed prompt, nothing merged."""
        with torch.no_grad():
            return self.model(torch.arange(3, 19)[None]).logits[0]


def make(
    base: Path,
    folder: Path,
    config: Callable[[], peft.PeftConfig],
    *,
    seed: int = 1,
    scale: float = 0.1,
    **save: Any,
) -> Made:
    """Wrap, set every trainable parameter, save, and load again from disk."""
    with quiet_transformers():
        model = peft.get_peft_model(plain(base), config())
        randomise(model, seed, scale)
        # Nobody reads the card, and its template takes as long as the rest.
        model.create_or_update_model_card = lambda folder: None
        model.save_pretrained(folder, **save)
        return loaded(base, folder)


def loaded(base: Path, folder: Path) -> Made:
    with quiet_transformers():
        return Made(folder, peft.PeftModel.from_pretrained(plain(base), folder).eval())


def plain(base: Path) -> Any:
    """Return a small base as transformers loads it, in float32; it is read once."""
    files = sorted(path for path in base.iterdir() if path.is_file())
    state = tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)
    return copy.deepcopy(_read(base, state))


@lru_cache(maxsize=4)
def _read(base: Path, state: object) -> Any:
    """Return what a folder holds while its files are in a state."""
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def randomise(model: torch.nn.Module, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator) * scale
                grown = "magnitude" in name or "ia3" in name or "norm" in name
                parameter.copy_(parameter * (1 + noise) if grown else parameter + noise)


def stored(folder: Path) -> Mapping[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def adalora(**fields: Any) -> peft.PeftConfig:
    settings = {
        "init_r": 6,
        "target_r": 3,
        "total_step": 100,
        "lora_alpha": 12,
        "target_modules": LINEAR,
    }
    return peft.AdaLoraConfig(task_type="CAUSAL_LM", **settings | fields)


def lora(**fields: Any) -> peft.PeftConfig:
    return peft.LoraConfig(
        task_type="CAUSAL_LM", **{"r": 4, "lora_alpha": 8, "target_modules": LINEAR} | fields
    )


CONFIGS: dict[str, Callable[[], peft.PeftConfig]] = {
    "lora": lora,
    "rslora": lambda: lora(use_rslora=True),
    "lora-patterns": lambda: lora(
        rank_pattern={".*\\.q_proj": 2, "up_proj": 3}, alpha_pattern={"v_proj": 5}
    ),
    "lora-some-layers": lambda: lora(layers_to_transform=[1]),
    "lora-regex": lambda: lora(target_modules=".*layers\\.0\\..*(q|k)_proj"),
    "lora-embeddings": lambda: lora(target_modules=["embed_tokens", "lm_head", "q_proj"]),
    "lora-modules-to-save": lambda: lora(
        target_modules=ATTENTION,
        modules_to_save=["embed_tokens", "lm_head", "norm", "input_layernorm"],
    ),
    "lora-tokens": lambda: lora(target_modules=ATTENTION, trainable_token_indices=[5, 3, 60]),
    "dora": lambda: lora(use_dora=True),
    "dora-rslora": lambda: lora(use_dora=True, use_rslora=True, rank_pattern={"q_proj": 2}),
    "adalora": adalora,
    "vera": lambda: peft.VeraConfig(task_type="CAUSAL_LM", r=8, target_modules=LINEAR),
    "vera-seed": lambda: peft.VeraConfig(
        task_type="CAUSAL_LM",
        r=8,
        target_modules=ATTENTION,
        save_projection=False,
        projection_prng_key=7,
    ),
    "loha": lambda: peft.LoHaConfig(task_type="CAUSAL_LM", r=3, alpha=6, target_modules=LINEAR),
    "loha-patterns": lambda: peft.LoHaConfig(
        task_type="CAUSAL_LM",
        r=3,
        alpha=6,
        target_modules=LINEAR,
        rank_pattern={"q_proj": 2},
        alpha_pattern={"k_proj": 9},
    ),
    "lokr": lambda: peft.LoKrConfig(task_type="CAUSAL_LM", r=2, alpha=4, target_modules=LINEAR),
    "lokr-both": lambda: peft.LoKrConfig(
        task_type="CAUSAL_LM",
        r=2,
        alpha=4,
        decompose_both=True,
        decompose_factor=8,
        target_modules=LINEAR,
    ),
    "lokr-full": lambda: peft.LoKrConfig(
        task_type="CAUSAL_LM", r=64, alpha=4, target_modules=LINEAR
    ),
    "ia3": lambda: peft.IA3Config(
        task_type="CAUSAL_LM",
        target_modules=["k_proj", "v_proj", "down_proj"],
        feedforward_modules=["down_proj"],
    ),
    "ln-tuning": lambda: peft.LNTuningConfig(
        task_type="CAUSAL_LM", target_modules=["norm", "input_layernorm"]
    ),
    "tokens": lambda: peft.TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=[9, 1]),
}
"""Formats that are merged by our own arithmetic."""

GPT2_LINEAR = ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"]
GPT2_CONFIGS: dict[str, Callable[[], peft.PeftConfig]] = {
    "lora": lambda: lora(target_modules=GPT2_LINEAR, fan_in_fan_out=True),
    "lora-embeddings": lambda: lora(
        target_modules=["wte", "lm_head", "c_attn"], fan_in_fan_out=True
    ),
    "adalora": lambda: adalora(target_modules=GPT2_LINEAR, fan_in_fan_out=True),
    "vera": lambda: peft.VeraConfig(
        task_type="CAUSAL_LM", r=8, target_modules=GPT2_LINEAR, fan_in_fan_out=True
    ),
    "vera-seed": lambda: peft.VeraConfig(
        task_type="CAUSAL_LM",
        r=8,
        target_modules=["c_attn"],
        fan_in_fan_out=True,
        save_projection=False,
    ),
    "ia3": lambda: peft.IA3Config(
        task_type="CAUSAL_LM",
        target_modules=["c_attn", "c_fc", "mlp.c_proj"],
        feedforward_modules=["mlp.c_proj"],
        fan_in_fan_out=True,
    ),
}
"""The same for GPT-2."""
