"""Tiny pooling bases made by transformers, adapters made by PEFT, and what PEFT makes of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peft
import torch
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen2Model,
)

from tests.peft_adapters import randomise
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ("<unk>", "<pad>", "a", "late", "parcel", "what", "is", "bond", "rate", "of", "the", "law")
CONTEXT = 512
LAYERS = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"]


def _config(**fields: Any) -> Qwen2Config:
    return Qwen2Config(
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=len(WORDS),
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

    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=WORDS[0],
        pad_token=WORDS[1],
        model_input_names=["input_ids", "attention_mask"],
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
        return cls(model, PreTrainedTokenizerFast.from_pretrained(base))

    def vector(self, text: str | Sequence[int]) -> torch.Tensor:
        """The last token's hidden state, of length one."""
        ids = self.tokenizer(text)["input_ids"] if isinstance(text, str) else list(text)
        with torch.no_grad():
            hidden = self.model(torch.tensor([ids])).last_hidden_state[0, -1]
        return torch.nn.functional.normalize(hidden, dim=0)

    def logit(self, text: str, pair: str | None = None) -> float:
        """What the classifier's head says of a text, or of a pair."""
        ids = self.tokenizer(text, pair)["input_ids"]
        with torch.no_grad():
            return float(self.model(torch.tensor([ids])).logits[0, 0])
