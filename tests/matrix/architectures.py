"""Tiny random bases of the real architectures, each saved by transformers' own class of it.

Heads and layers are as small as vLLM's kernels on a CPU take them. Nothing here uses the code under
test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    DeepseekV2Config,
    Gemma3Config,
    Gemma3nTextConfig,
    Gemma3TextConfig,
    Gemma4Config,
    Gemma4TextConfig,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    Qwen3VLConfig,
)

from lorabay.base.transformers_quiet import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_SIZE, LAYERS = 128, 96, 4, 2, 32, 2
VOCABULARY, EXPERTS, EXPERT = 64, 4, 64

_SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 128,
    "initializer_range": 0.1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
_TEXT = _SIZES | {"head_dim": HEAD_SIZE, "tie_word_embeddings": False}
_MIXTURE = {"num_experts_per_tok": 2}
_GEMMA = _SIZES | {"head_dim": HEAD_SIZE, "sliding_window": 64}

_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]}
_TOWER = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
_QWEN_TOWER = {
    "depth": 1,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": HIDDEN,
    "patch_size": 8,
}

_LATENT = {
    "q_lora_rank": 64,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
}
"""Latent attention of the published sizes: vLLM's kernels know no others."""

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
EXPERT_PARAMETERS = ("experts.gate_up_proj", "experts.down_proj")


@dataclass(frozen=True)
class Architecture:
    """One architecture: the config of a tiny base, and what adapters of it are trained on.

    `targets` are the last parts of layers' names, all in the language model. `experts` is whether
    its experts are trained, too.
    """

    name: str
    config: Callable[[], PreTrainedConfig]
    targets: tuple[str, ...] = ATTENTION + MLP
    experts: bool = False
    has_tower: bool = False

    @property
    def has_own_head(self) -> bool:
        """Whether the head is a weight of its own, so that LoRA may be on it alone."""
        return not self.config().get_text_config().tie_word_embeddings

    def make_base(self, folder: Path) -> Path:
        """Save a random model in float32."""
        torch.manual_seed(0)
        kind = AutoModelForImageTextToText if self.has_tower else AutoModelForCausalLM
        with quiet_transformers(), torch.no_grad():
            model = kind.from_config(self.config())
            # Some are initialised with zeros or ones, and then answer like their neighbours.
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.02)
            model.save_pretrained(folder)
        return folder

    def load(self, folder: Path) -> Any:
        """Return the model in a folder, in float32."""
        kind = AutoModelForImageTextToText if self.has_tower else AutoModelForCausalLM
        with quiet_transformers():
            return kind.from_pretrained(folder, dtype=torch.float32).eval()

    @property
    def language_model_targets(self) -> str | list[str]:
        """What PEFT is told, so that a tower's layers of the same names are left alone."""
        if self.has_tower:
            return rf".*language_model.*\.({'|'.join(self.targets)})"
        return list(self.targets)


def _qwen2_5_vl() -> PreTrainedConfig:
    text = _SIZES | {"rope_parameters": dict(_ROPE), "tie_word_embeddings": False}
    tower = _QWEN_TOWER | {"window_size": 16, "fullatt_block_indexes": [0]}
    return Qwen2_5_VLConfig(text_config=text, vision_config=tower, tie_word_embeddings=False)


def _qwen3_vl() -> PreTrainedConfig:
    text = _TEXT | {"rope_parameters": _ROPE | {"mrope_interleaved": True}}
    tower = _QWEN_TOWER | {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    return Qwen3VLConfig(text_config=text, vision_config=tower, tie_word_embeddings=False)


def _gemma3() -> PreTrainedConfig:
    text = _GEMMA | {"query_pre_attn_scalar": HEAD_SIZE}
    tower = _TOWER | {"vision_use_head": False}
    return Gemma3Config(text_config=text, vision_config=tower, mm_tokens_per_image=4)


_GEMMA4: dict[str, Any] = _GEMMA | {
    "global_head_dim": HEAD_SIZE,
    "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 16,
}


def _gemma4() -> PreTrainedConfig:
    tower: dict[str, Any] = {name: _TOWER[name] for name in _TOWER if name != "image_size"}
    tower |= {"num_key_value_heads": 2, "head_dim": 32, "position_embedding_size": 16}
    return Gemma4Config(text_config=_GEMMA4, vision_config=tower)


def _deepseek_v2() -> PreTrainedConfig:
    return DeepseekV2Config(
        **_SIZES
        | _LATENT
        | _MIXTURE
        | {
            "tie_word_embeddings": False,
            "num_key_value_heads": HEADS,
            "first_k_dense_replace": 1,
            "n_routed_experts": EXPERTS,
            "n_shared_experts": 1,
            "moe_intermediate_size": EXPERT,
            # As in the published models; vLLM takes no base without them.
            "n_group": 1,
            "topk_group": 1,
        }
    )


def _mixtral() -> PreTrainedConfig:
    sizes = _TEXT | _MIXTURE | {"intermediate_size": EXPERT}
    return MixtralConfig(**sizes, num_local_experts=EXPERTS, sliding_window=None)


def _qwen3_moe() -> PreTrainedConfig:
    sizes = _TEXT | _MIXTURE
    return Qwen3MoeConfig(**sizes, moe_intermediate_size=EXPERT, num_experts=EXPERTS)


def _gpt_oss() -> PreTrainedConfig:
    # Inputs and outputs of `down_proj` are equal, as in the published models.
    sizes = _TEXT | _MIXTURE | {"intermediate_size": HIDDEN}
    return GptOssConfig(**sizes, num_local_experts=EXPERTS, sliding_window=64)


def _gemma3n() -> PreTrainedConfig:
    return Gemma3nTextConfig(
        **_GEMMA
        | {
            "num_hidden_layers": 5,
            "intermediate_size": [INNER] * 5,
            "layer_types": ["full_attention"] * 5,
            "num_kv_shared_layers": 0,
            "activation_sparsity_pattern": [0.0] * 5,
            "vocab_size_per_layer_input": VOCABULARY,
            "hidden_size_per_layer_input": 16,
        }
    )


LATENT_ATTENTION = ("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj")
"""DeepSeek-V2's without `kv_b_proj`, which vLLM computes with in another way. Its dense layers and
shared experts have the names of matrices of its experts: PEFT takes those for all of them."""

_ALL = (
    Architecture("Llama", lambda: LlamaConfig(**_TEXT)),
    Architecture("Mistral", lambda: MistralConfig(**_TEXT, sliding_window=None)),
    Architecture("Qwen2", lambda: Qwen2Config(**_SIZES, tie_word_embeddings=False)),
    Architecture("Qwen3", lambda: Qwen3Config(**_TEXT)),
    Architecture(
        "Phi-3",
        lambda: Phi3Config(**_SIZES, tie_word_embeddings=False),
        ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    ),
    Architecture(
        "Gemma 3 (text)", lambda: Gemma3TextConfig(**_GEMMA, query_pre_attn_scalar=HEAD_SIZE)
    ),
    Architecture("Gemma 3n (text)", _gemma3n),
    Architecture("Gemma 4 (text)", lambda: Gemma4TextConfig(**_GEMMA4)),
    Architecture("Qwen2.5-VL", _qwen2_5_vl, has_tower=True),
    Architecture("Qwen3-VL", _qwen3_vl, has_tower=True),
    Architecture("Gemma 3", _gemma3, has_tower=True),
    Architecture("Gemma 4", _gemma4, has_tower=True),
    Architecture("Mixtral", _mixtral, ATTENTION),
    Architecture("Mixtral, experts", _mixtral, ATTENTION, experts=True),
    Architecture("Qwen3-MoE", _qwen3_moe, ATTENTION),
    Architecture("Qwen3-MoE, experts", _qwen3_moe, ATTENTION, experts=True),
    Architecture("gpt-oss", _gpt_oss, ATTENTION),
    Architecture("gpt-oss, experts", _gpt_oss, ATTENTION, experts=True),
    Architecture("DeepSeek-V2", _deepseek_v2, LATENT_ATTENTION),
    Architecture("DeepSeek-V2, experts", _deepseek_v2, LATENT_ATTENTION + MLP, experts=True),
)

ARCHITECTURES = {architecture.name: architecture for architecture in _ALL}
