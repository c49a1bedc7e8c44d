"""Tiny bases with a vision tower, of the real classes, saved in both layouts of their names.

transformers saves most of them under the names of older classes; `IN_MEMORY` are the names that the
class has itself, and newer files too. Nothing here uses the code under test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma3Config,
    Gemma4Config,
    LlavaConfig,
    Mistral3Config,
    Qwen2_5_VLConfig,
    Qwen3_5Config,
    Qwen3VLConfig,
)

from lorabay.base.transformers_quiet import quiet_transformers
from tests import peft_adapters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HIDDEN, INNER, VOCABULARY = 32, 48, 64
SAVED, IN_MEMORY = "as saved", "as in memory"
LAYOUTS = (SAVED, IN_MEMORY)
WEIGHTS = "model.safetensors"

TEXT = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
TOWER = {
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
QWEN_TOWER = {
    "depth": 2,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "num_heads": 4,
    "out_hidden_size": HIDDEN,
    "patch_size": 8,
}


def qwen2_5_vl() -> Any:
    tower = QWEN_TOWER | {"window_size": 16, "fullatt_block_indexes": [1]}
    return Qwen2_5_VLConfig(text_config=TEXT | {"rope_parameters": dict(ROPE)}, vision_config=tower)


def qwen3_vl() -> Any:
    tower = QWEN_TOWER | {"num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
    text = TEXT | {"head_dim": 8, "rope_parameters": ROPE | {"mrope_interleaved": True}}
    return Qwen3VLConfig(text_config=text, vision_config=tower)


def qwen3_5() -> Any:
    text = TEXT | {
        "head_dim": 16,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "rope_parameters": ROPE | {"mrope_section": [1, 1, 0], "partial_rotary_factor": 0.25},
    }
    return Qwen3_5Config(
        text_config=text, vision_config=QWEN_TOWER | {"num_position_embeddings": 16}
    )


def gemma3() -> Any:
    text = TEXT | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 32}
    tower = TOWER | {"vision_use_head": False}
    return Gemma3Config(text_config=text, vision_config=tower, mm_tokens_per_image=4)


def gemma4() -> Any:
    text = TEXT | {
        "head_dim": 8,
        "global_head_dim": 8,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 4,
        "sliding_window": 32,
    }
    tower = {name: value for name, value in TOWER.items() if name != "image_size"}
    tower |= {"num_key_value_heads": 4, "head_dim": 8, "position_embedding_size": 16}
    return Gemma4Config(text_config=text, vision_config=tower)


def mistral3() -> Any:
    text = TEXT | {"model_type": "mistral", "head_dim": 8, "tie_word_embeddings": False}
    tower = TOWER | {"model_type": "pixtral"}
    return Mistral3Config(
        text_config=text, vision_config=tower, image_token_index=999, tie_word_embeddings=False
    )


def llava() -> Any:
    text = TEXT | {"model_type": "llama", "tie_word_embeddings": False}
    tower = TOWER | {"model_type": "clip_vision_model", "projection_dim": HIDDEN}
    return LlavaConfig(text_config=text, vision_config=tower, image_token_index=999)


ARCHITECTURES: dict[str, Callable[[], Any]] = {
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_5": qwen3_5,
    "gemma3": gemma3,
    "gemma4": gemma4,
    "mistral3": mistral3,
    "llava": llava,
}

LANGUAGE_MODEL = {
    "qwen2_5_vl": "model.layers.",
    "qwen3_vl": "model.language_model.layers.",
    "qwen3_5": "model.language_model.layers.",
    "gemma3": "language_model.model.layers.",
    "gemma4": "model.language_model.layers.",
    "mistral3": "language_model.model.layers.",
    "llava": "language_model.model.layers.",
}
"""What the layers are called in files that transformers saves, as in those that are published."""


def make_base(name: str, folder: Path, layout: str = SAVED) -> Path:
    """A random model of the architecture, in one file."""
    torch.manual_seed(0)
    with quiet_transformers():
        model = AutoModelForImageTextToText.from_config(ARCHITECTURES[name]())
        with torch.no_grad():
            # Some are initialised with zeros, and equal tensors could not be told apart.
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.05)
        model.save_pretrained(folder)

    if layout == IN_MEMORY:
        tensors = {key: value.contiguous() for key, value in model.state_dict().items()}
        if model.config.tie_word_embeddings:
            tensors.pop("lm_head.weight")
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    return folder


def load(base: Path) -> Any:
    with quiet_transformers():
        model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
        return model.eval()


def in_memory_names(base: Path) -> Mapping[str, str]:
    """Name of each matrix in the file -> its name in the class: the one with the same values."""
    by_value = {
        value.numpy().tobytes(): name
        for name, value in reversed(load(base).state_dict().items())
        if value.dim() == 2
    }
    stored = load_file(base / WEIGHTS)
    return {
        name: by_value[value.numpy().tobytes()]
        for name, value in stored.items()
        if value.dim() == 2
    }


@dataclass(frozen=True)
class Made:
    """An adapter on disk, and PEFT's model of the base with it."""

    folder: Path
    model: peft.PeftModel

    def logits(self) -> torch.Tensor:
        """What it answers to a fixed prompt, nothing merged."""
        with torch.no_grad():
            return self.model(torch.arange(3, 19)[None]).logits[0]

    def merged(self) -> Mapping[str, torch.Tensor]:
        """The weights of PEFT's own merge, by the names of the class."""
        with quiet_transformers():
            model = self.model.merge_and_unload()
        return {name: value.detach().clone() for name, value in model.state_dict().items()}


def make_adapter(model: Any, folder: Path, config: peft.PeftConfig) -> Made:
    """Wrap a model, set every trainable parameter, and save."""
    with quiet_transformers():
        wrapped = peft.get_peft_model(model, config)
        peft_adapters.randomise(wrapped, 1, 0.1)
        wrapped.save_pretrained(folder)
    return Made(folder, wrapped.eval())


def text_model(base: Path) -> Any:
    """The language model of a base alone, in the class of a model for text."""
    whole = load(base)
    with quiet_transformers():
        alone = AutoModelForCausalLM.from_config(whole.config.text_config).eval()
    alone.model.load_state_dict(whole.model.language_model.state_dict())
    alone.lm_head.load_state_dict(whole.lm_head.state_dict())
    return alone
