"""A base loaded with transformers: in float32, on the CPU, quietly and without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


_POOLING = (AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoModel)
_POOLING_ENDS = ("Classification", "Model")
"""Ends of the names of classes that give classes, or hidden states alone."""


def load_model(folder: Path, **options: Any) -> Any:
    """Return the model of a base folder, ready to answer. Raise SetupError if it is not one.

    `options` are transformers' own, in place of float32 and the config of the folder.
    """
    try:
        return load_float32(folder, **options)
    except (OSError, ValueError) as error:
        raise _not_a_model(folder, error) from error


def load_float32(folder: Path, **options: Any) -> Any:
    """Return the model in `folder`, ready to answer. `options` are those of `load_model`.

    Raise whatever transformers raises, which is OSError, ValueError or RuntimeError.
    """
    with quiet_transformers():
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        chosen = {"config": config, "dtype": torch.float32, "local_files_only": True, **options}
        model = model_class(config).from_pretrained(folder, **chosen)
        return model.eval()


def model_class(config: Any) -> Any:
    """Return transformers' class for a model with this config: the one that pools, if it names one,
    else for text, or for images and text.

    A base with a vision tower is loaded whole. Its class answers text like any other.
    """
    name = next(iter(getattr(config, "architectures", None) or ()), "")
    for kind in _POOLING:
        if name.endswith(_POOLING_ENDS) and name == _class_name(kind, config):
            return kind

    if type(config) in AutoModelForImageTextToText._model_mapping:
        return AutoModelForImageTextToText
    return AutoModelForCausalLM


def _class_name(kind: Any, config: Any) -> str | None:
    """Return the name of the class that an automatic class of transformers stands for here."""
    if type(config) not in kind._model_mapping:
        return None
    return str(kind._model_mapping[type(config)].__name__)


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of a base folder.

    Raise SetupError if there is none, or if it lacks a chat template or an end-of-turn token.
    """
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _not_a_model(folder, error) from error

    if tokenizer.chat_template is None or tokenizer.eos_token_id is None:
        raise SetupError(f"the tokenizer in {folder} has no chat template or no end-of-turn token")
    return tokenizer


def _not_a_model(folder: Path, error: Exception) -> SetupError:
    """Return the error of a folder that transformers cannot read, whose own text has many lines."""
    problem = " ".join(str(error).split())
    return SetupError(f"{folder} is not the folder of a base model: {problem}")
