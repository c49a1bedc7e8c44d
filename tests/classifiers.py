"""A tiny classifier made by transformers, and adapters of it as PEFT makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import peft
import torch
from transformers import (
    AutoModelForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
)

from lorabay.base.transformers_quiet import quiet_transformers
from tests.peft_adapters import randomise

if TYPE_CHECKING:
    from pathlib import Path

LABELS, HIDDEN = 3, 32
IDS = torch.arange(3, 19)[None]


def make_base(folder: Path) -> Path:
    """A classifier of one layer and three labels."""
    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=HIDDEN,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=64,
        num_labels=LABELS,
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    Qwen2ForSequenceClassification(config).save_pretrained(folder)
    return folder


def load_classifier(base: Path) -> Any:
    with quiet_transformers():
        return AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32).eval()


def make_adapter(base: Path, folder: Path, **options: Any) -> torch.Tensor:
    """Save an adapter as PEFT does for classifiers, and return what it answers."""
    fields = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]} | options
    config = peft.LoraConfig(task_type="SEQ_CLS", **fields)
    model = peft.get_peft_model(load_classifier(base), config)
    assert set(model.peft_config["default"].modules_to_save) == {"classifier", "score"}
    randomise(model, 1, 0.1)
    model.save_pretrained(folder)
    return answers(model.eval())


def answers(model: Any) -> torch.Tensor:
    """Return the logits of one fixed text."""
    with torch.no_grad():
        logits: torch.Tensor = model(IDS).logits
    return logits
