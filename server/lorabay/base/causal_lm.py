"""Loading a base with transformers, in float32 on the CPU, quietly and without a network."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def load_model(folder: Path) -> Any:
    """The model of a base folder, ready to answer."""
    try:
        with quiet_transformers():
            return AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            ).eval()
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder} is not the folder of a base model: {error}") from error


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a base folder; it must have a chat template and an end-of-turn token."""
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder} is not the folder of a base model: {error}") from error
    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise SetupError(f"the tokenizer in {folder} has no chat template or no end-of-turn token")
    return tokenizer


def public_name(folder: Path) -> str:
    """How a base is called in what we publish: as its config says, else as its folder; never a
    path.
    """
    config = json.loads((folder / "config.json").read_bytes())
    return str(config.get("_name_or_path") or folder.resolve().name)
