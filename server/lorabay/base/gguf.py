"""A llama GGUF file as a Hugging Face folder, with transformers' own reader.

The one thing that this reader gets wrong for SmolLM2 is repaired: it drops the rule that digits are
split from their surroundings. This module knows neither caches nor whether the result is right.
"""

from __future__ import annotations

import json
from contextlib import contextmanager, redirect_stderr
from functools import cache
from io import StringIO
from typing import TYPE_CHECKING, Any

import gguf as gguf_files
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, GgufConfig

from lorabay.base.files import CONFIG
from lorabay.base.transformers_quiet import quiet_transformers
from tokenizers import pre_tokenizers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Reader(gguf_files.GGUFReader):  # type: ignore[misc]
    """The library's reader over a plain array: a hundred thousand slices of a memmap take
    seconds.
    """

    @property
    def data(self) -> np.ndarray:
        """The bytes of the file, which stays mapped."""
        return self._data

    @data.setter
    def data(self, mapped: np.memmap) -> None:
        self._data = np.asarray(mapped)


@contextmanager
def read_once() -> Iterator[None]:
    """Let transformers read a GGUF file once while the block lasts, and look names up in one table.

    transformers 5.19 reads the file three times for a tokenizer and a model, and makes the table of
    tensor names anew for each tensor: two thirds of the time of a conversion.
    """
    reader, table = gguf_files.GGUFReader, gguf_files.get_tensor_name_map
    gguf_files.GGUFReader = cache(_Reader)
    gguf_files.get_tensor_name_map = cache(table)
    try:
        yield
    finally:
        gguf_files.GGUFReader, gguf_files.get_tensor_name_map = reader, table


def read_tokenizer(gguf: Path) -> Any:
    """Return the tokenizer with its chat template."""
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)

    # GGUF only names the split ("smollm": every digit alone, then byte level). transformers keeps
    # the byte level, and so cuts "a  2" into other tokens than the base was trained on.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return tokenizer


def dequantise(gguf: Path) -> Any:
    """Return the model in bfloat16."""
    # transformers draws one bar with tqdm itself, past its own switch for bars.
    with quiet_transformers(), redirect_stderr(StringIO()):
        return AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(gguf_file=gguf.name, dequantize=True),
            dtype=torch.bfloat16,
        )


def write(folder: Path, model: Any, tokenizer: Any, repository: str) -> None:
    """Write model and tokenizer to `folder`, named after the repository that published them."""
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokenizer.model_max_length = model.config.max_position_embeddings
    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)

    # transformers names the model after the folder of the GGUF file.
    config = json.loads((folder / CONFIG).read_bytes())
    del config["_model_name_or_path"]
    config["_name_or_path"] = repository
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
