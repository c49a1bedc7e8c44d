"""Tiny mixtures of experts of the real architectures, as transformers saves them, and LoRA on their
experts, as PEFT saves it. Nothing here uses the code under test.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    GptOssConfig,
    GraniteMoeConfig,
    MixtralConfig,
    OlmoeConfig,
    PreTrainedConfig,
    Qwen3_5MoeTextConfig,
    Qwen3MoeConfig,
)
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from lorabay.base.transformers_quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HIDDEN, EXPERT, EXPERTS, VOCABULARY = 32, 24, 4, 64

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "num_experts_per_tok": 2,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def _gpt_oss() -> PreTrainedConfig:
    # Inputs and outputs of `down_proj` are equal, as in the published models.
    return GptOssConfig(
        **_COMMON,
        intermediate_size=HIDDEN,
        head_dim=8,
        num_local_experts=EXPERTS,
        sliding_window=16,
    )


CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "Qwen3-MoE": lambda: Qwen3MoeConfig(
        **_COMMON,
        intermediate_size=48,
        moe_intermediate_size=EXPERT,
        head_dim=8,
        num_experts=EXPERTS,
    ),
    "Qwen3.5-MoE": lambda: Qwen3_5MoeTextConfig(
        **_COMMON,
        moe_intermediate_size=EXPERT,
        shared_expert_intermediate_size=EXPERT,
        head_dim=8,
        num_experts=EXPERTS,
        layer_types=["full_attention", "full_attention"],
    ),
    "Mixtral": lambda: MixtralConfig(
        **_COMMON, intermediate_size=EXPERT, num_local_experts=EXPERTS
    ),
    "OLMoE": lambda: OlmoeConfig(**_COMMON, intermediate_size=EXPERT, num_experts=EXPERTS),
    "GraniteMoE": lambda: GraniteMoeConfig(
        **_COMMON, intermediate_size=EXPERT, num_local_experts=EXPERTS
    ),
    "gpt-oss": _gpt_oss,
}
"""Architecture -> its config. Files hold experts one by one, or all in one tensor, or the other way
round."""


def make_base(name: str, folder: Path) -> Path:
    """Save a random model of an architecture in float32."""
    torch.manual_seed(0)
    with quiet_transformers():
        model = AutoModelForCausalLM.from_config(CONFIGS[name]())
        model.save_pretrained(folder)
    return folder


def on_experts(**fields: Any) -> peft.PeftConfig:
    """LoRA on all experts, and on the queries of attention."""
    usual: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
    }
    return peft.LoraConfig(task_type="CAUSAL_LM", **usual | fields)


def saved_merge(model: peft.PeftModel, folder: Path) -> Mapping[str, torch.Tensor]:
    """Return the tensors that PEFT's own merge of a model has when transformers saves it."""
    with quiet_transformers():
        model.merge_and_unload().save_pretrained(folder)
    return load_file(folder / "model.safetensors")


def pack_experts(folder: Path) -> None:
    """Pack the experts of a gpt-oss as MXFP4, as the published models are; scales are random."""
    generator = torch.Generator().manual_seed(0)
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = tensors.pop(name).shape
        blocks = (experts, outputs, inputs // 32, 16)
        tensors[f"{name}_blocks"] = torch.randint(
            256, blocks, generator=generator, dtype=torch.uint8
        )
        tensors[f"{name}_scales"] = torch.randint(
            122, 126, blocks[:-1], generator=generator, dtype=torch.uint8
        )
    for name, tensor in tensors.items():
        if tensor.dtype == torch.float32:
            tensors[name] = tensor.to(torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def unpacked(packed: Path, folder: Path) -> Path:
    """Save a gpt-oss with packed experts as a dense one, unpacked by transformers in float32."""
    shutil.copytree(packed, folder)
    tensors: dict[str, torch.Tensor] = {}
    stored = load_file(packed / "model.safetensors")
    for name, tensor in stored.items():
        if name.endswith("_blocks"):
            weight = name.removesuffix("_blocks")
            scales = stored[f"{weight}_scales"]
            tensors[weight] = convert_moe_packed_tensors(tensor, scales, dtype=torch.float32)
        elif not name.endswith("_scales"):
            tensors[name] = tensor.float()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    return folder
