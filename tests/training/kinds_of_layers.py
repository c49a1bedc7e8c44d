"""Small models of several kinds of layers, with random weights that are large enough to matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import transformers

if TYPE_CHECKING:
    from collections.abc import Callable

_SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WINDOW = 6
"""Tokens that a layer with a sliding window looks back at."""


def _eager_llama() -> Any:
    config = transformers.LlamaConfig(**_SIZES)
    config._attn_implementation = "eager"
    return transformers.LlamaForCausalLM(config)


def _gpt_oss() -> Any:
    config = transformers.GptOssConfig(
        **_SIZES,
        head_dim=8,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    return transformers.GptOssForCausalLM(config)


def _opt() -> Any:
    sizes = {"ffn_dim": 48, "word_embed_proj_dim": 32}
    return transformers.OPTForCausalLM(transformers.OPTConfig(**_SIZES, **sizes))


def lfm2(vocabulary: int = 64) -> Any:
    """Return a model with a convolution over the tokens before."""
    config = transformers.Lfm2Config(
        **{**_SIZES, "vocab_size": vocabulary},
        layer_types=["conv", "full_attention"],
        block_auto_adjust_ff_dim=False,
    )
    return transformers.Lfm2ForCausalLM(config)


def _qwen3_5() -> Any:
    config = transformers.Qwen3_5TextConfig(
        **_SIZES,
        head_dim=8,
        layer_types=["linear_attention", "full_attention"],
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
    )
    return transformers.Qwen3_5ForCausalLM(config)


def _falcon_h1() -> Any:
    sizes = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8}
    return transformers.FalconH1ForCausalLM(transformers.FalconH1Config(**_SIZES, **sizes))


APART: dict[str, Callable[[], Any]] = {
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**_SIZES)),
    "llama, eager": _eager_llama,
    "mistral": lambda: transformers.MistralForCausalLM(
        transformers.MistralConfig(**_SIZES, sliding_window=WINDOW)
    ),
    "gemma 3": lambda: transformers.Gemma3ForCausalLM(
        transformers.Gemma3TextConfig(**_SIZES, head_dim=8, sliding_window=WINDOW)
    ),
    "gpt-oss": _gpt_oss,
    "opt": _opt,
    "mpt": lambda: transformers.MptForCausalLM(
        transformers.MptConfig(vocab_size=64, d_model=32, n_layers=2, n_heads=4, max_seq_len=128)
    ),
}
"""Models that look at what masks let them look at."""

CARRYING: dict[str, Callable[[], Any]] = {
    "lfm2": lfm2,
    "qwen 3.5": _qwen3_5,
    "falcon h1": _falcon_h1,
    "bloom": lambda: transformers.BloomForCausalLM(
        transformers.BloomConfig(
            vocab_size=64, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.2
        )
    ),
    "mamba": lambda: transformers.MambaForCausalLM(
        transformers.MambaConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=8, initializer_range=0.2
        )
    ),
}
"""Models that take something of the tokens before along, whatever a mask says, or take no mask."""


def model_of(make: Callable[[], Any]) -> Any:
    """Return one of the models, with the same weights at every call."""
    torch.manual_seed(3)
    return make().eval()
