"""Tiny pooling bases made by transformers, adapters made by PEFT, and what PEFT makes of texts."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import (
    AutoTokenizer,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen2Model,
    Qwen2Tokenizer,
)

from tests.peft_adapters import randomise

_SPACE = "Ġ"
"""How a byte-level tokenizer writes it."""

TOKENS = ("<unk>", "<pad>", _SPACE, *string.ascii_lowercase)
CONTEXT = 512
LAYERS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


def _config(**fields: Any) -> Qwen2Config:
    return Qwen2Config(
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(TOKENS),
        max_position_embeddings=CONTEXT,
        pad_token_id=1,
        tie_word_embeddings=False,
        **fields,
    )


def _save(model: Any, folder: Path) -> Path:
    # As a trained model's, so that texts differ in more than their last token.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.15)
    model.save_pretrained(folder)

    # transformers reads a base of this type with this class, whatever its files say.
    Qwen2Tokenizer(
        vocab={token: number for number, token in enumerate(TOKENS)},
        merges=[],
        unk_token=TOKENS[0],
        eos_token=TOKENS[1],
        pad_token=TOKENS[1],
    ).save_pretrained(folder)
    return folder


def make_embedder(folder: Path) -> Path:
    """A model of hidden states alone, whose files name no class around its layers."""
    torch.manual_seed(0)
    return _save(Qwen2Model(_config()), folder)


def make_ranker(folder: Path) -> Path:
    """A classifier with one label, which ranks pairs."""
    torch.manual_seed(1)
    return _save(Qwen2ForSequenceClassification(_config(num_labels=1)), folder)


def make_adapter(base: Path, folder: Path, kind: Any, *, seed: int, **fields: Any) -> Path:
    """Save an adapter of the layers, and of whatever PEFT trains beside them.

    `kind` is the class of transformers that it is trained on.
    """
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": LAYERS} | fields)
    model = peft.get_peft_model(kind.from_pretrained(base, dtype=torch.float32), config)
    randomise(model, seed, 0.1)
    model.save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Reference:
    """A base, or an adapter on it, as PEFT runs it in float32."""

    model: Any
    tokenizer: Any

    @classmethod
    def of(cls, base: Path, kind: Any, adapter: Path | None = None) -> Reference:
        """Load a base as a class of transformers, with an adapter or without."""
        model = kind.from_pretrained(base, dtype=torch.float32).eval()
        if adapter is not None:
            model = peft.PeftModel.from_pretrained(model, adapter).eval()
        return cls(model, AutoTokenizer.from_pretrained(base))

    def ids(self, text: str, pair: str | None = None) -> list[int]:
        """The tokens of a text, or of a pair."""
        found: list[int] = self.tokenizer(text, pair)["input_ids"]
        return found

    def vector(self, text: str | Sequence[int]) -> torch.Tensor:
        """The last token's hidden state, of length one."""
        ids = self.ids(text) if isinstance(text, str) else list(text)
        with torch.no_grad():
            hidden = self.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return torch.nn.functional.normalize(hidden, dim=0)

    def logit(self, text: str, pair: str | None = None) -> float:
        """What the classifier's head says of a text, or of a pair."""
        ids = self.ids(text, pair)
        with torch.no_grad():
            return float(self.model(torch.tensor([ids])).logits[0, 0])
