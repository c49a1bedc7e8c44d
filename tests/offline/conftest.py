"""The real base, converted once a run in a process of its own, and a tiny random base that trains in seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lorabay.offline.causal_lm import load_model, load_tokenizer

PREPARE = (
    "import sys, pathlib; from lorabay.offline.base_model import prepare; print(prepare(pathlib.Path(sys.argv[1])))"
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A base that was prepared by a real first call, and what that call wrote to the terminal."""

    cache: Path
    folder: Path
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The real base, from the installed package."""
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-c", PREPARE, str(cache)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    return Prepared(cache, Path(ended.stdout.strip()), ended.stdout, ended.stderr)


@pytest.fixture(scope="session")
def base_model(prepared: Prepared) -> Any:
    """The real base in float32; tests put back what they change."""
    return load_model(prepared.folder)


@pytest.fixture(scope="session")
def base_tokenizer(prepared: Prepared) -> Any:
    """The real base's tokenizer."""
    return load_tokenizer(prepared.folder)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama of two random layers whose tokens are bytes, with a chat template."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    specials = ["<|end|>", "<|user|>", "<|answer|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*specials, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": specials[1:]})
    tokenizer.chat_template = (
        "{% for message in messages %}<|user|>{{ message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}<|answer|>{% endif %}"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=0, pad_token_id=0)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


RECIPE = """
[lora]
rank = 4
alpha = 8
target_modules = ["v_proj", "q_proj", "down_proj"]

[training]
learning_rate = 0.02
epochs = 10
batch_size = 4
seed = 3
"""


@pytest.fixture
def adapter_dir(tmp_path: Path, make_adapter_dir: Callable[[Path], Path]) -> Path:
    """An adapter folder, not trained yet."""
    return make_adapter_dir(tmp_path / "colours")


@pytest.fixture(scope="session")
def make_adapter_dir() -> Callable[[Path], Path]:
    """Makes adapter folders with a recipe and a few examples: colours that are always answered the same way."""
    return _make_adapter_dir


def _make_adapter_dir(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    things = ["sky", "grass", "snow", "coal", "rose", "lemon", "plum", "sand", "sea", "brick"]
    for name, part in (("train", things[:8]), ("heldout", things[8:])):
        records = [{"instruction": f"Colour of {thing}?", "input": "", "output": "Colour: known."} for thing in part]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder
