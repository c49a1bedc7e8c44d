"""A short training of any variant on the tiny base, and what its folder does to the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from lorabay.base.causal_lm import load_model
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.training.train import Trained, train_folder

TOKENS = torch.tensor([[1, 40, 50, 60, 70, 2, 80, 90]])


def add_variant(adapter_dir: Path, name: str, keys: str = "") -> None:
    """Name a variant, with keys of its own, in the folder's recipe."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(f'{text}\n[variant]\nname = "{name}"\n{keys}\n', encoding="utf-8")


def trained(adapter_dir: Path, base: Path, name: str, keys: str = "") -> Trained:
    """Train a variant into the folder `out` beside the adapter's, in float32."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(f'{text}dtype = "float32"\n', encoding="utf-8")
    add_variant(adapter_dir, name, keys)
    return train_folder(adapter_dir, base, output=adapter_dir.parent / "out")


def logits(model: Any) -> torch.Tensor:
    """Return what a model makes of a few tokens."""
    with torch.inference_mode():
        return torch.as_tensor(model(TOKENS).logits)


def peft_model(base: Path, folder: Path) -> Any:
    """Return PEFT's model of the adapter in a folder."""
    with quiet_transformers():
        return PeftModel.from_pretrained(load_model(base), folder).eval()
