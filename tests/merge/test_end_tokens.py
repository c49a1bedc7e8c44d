"""The token that ends an adapter's turn ends that of the merged model."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from tokenizers.models import WordLevel
from transformers import GenerationConfig, PreTrainedTokenizerFast

from lorabay.merge.end_tokens import adapter_end_tokens, with_end_tokens
from lorabay.merge.run import merge
from tests.merge.bases import make_base, make_lora, merge_settings
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

WORDS = {"hello": 0, "</s>": 1, "<|im_end|>": 2, "<|eot|>": 3}


def save_tokenizer(folder: Path, end: str) -> None:
    """Save a tokenizer as transformers does, with its end token."""
    model = Tokenizer(WordLevel(WORDS, unk_token="hello"))
    PreTrainedTokenizerFast(tokenizer_object=model, eos_token=end).save_pretrained(folder)


def save_generation(folder: Path, ends: int | list[int]) -> None:
    GenerationConfig(eos_token_id=ends, temperature=0.3, do_sample=True).save_pretrained(folder)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A base that ends at 1, and an adapter without a word on it."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    save_tokenizer(tmp_path / "base", "</s>")
    save_generation(tmp_path / "base", 1)
    return tmp_path


def found(folders: Path) -> tuple[int, ...]:
    return adapter_end_tokens(folders / "base", folders / "adapter")


def test_most_adapters_say_nothing(folders: Path) -> None:
    """Nor does one that has the base's own tokenizer and generation config beside it."""
    assert found(folders) == ()
    save_tokenizer(folders / "adapter", "</s>")
    save_generation(folders / "adapter", 1)
    assert found(folders) == ()


def test_an_own_generation_config_says_it(folders: Path) -> None:
    """All of its end tokens."""
    save_generation(folders / "adapter", [2, 3])
    assert found(folders) == (2, 3)


def test_an_own_tokenizer_says_it(folders: Path) -> None:
    """Also beside a generation config that trainers copied from the base."""
    save_tokenizer(folders / "adapter", "<|im_end|>")
    assert found(folders) == (2,)
    save_generation(folders / "adapter", 1)
    assert found(folders) == (2,)


def test_an_end_that_the_base_has_too_is_none_of_the_adapter(folders: Path) -> None:
    """Bases end at several tokens, and their tokenizer names one of them."""
    save_generation(folders / "base", [1, 2])
    save_tokenizer(folders / "adapter", "<|im_end|>")
    assert found(folders) == ()


@pytest.mark.parametrize("text", ["", "[]", '{"eos_token": 3}', '{"eos_token": "<|nowhere|>"}'])
def test_files_that_say_nothing_usable_are_ignored(folders: Path, text: str) -> None:
    """They are copied as they are; a merge is no judge of tokenizers."""
    (folders / "adapter" / "tokenizer_config.json").write_text(text)
    assert found(folders) == ()


def test_an_id_that_no_vocabulary_reaches_is_ignored(folders: Path) -> None:
    """Python reads no number of thousands of digits, and raises."""
    decoder = {"9" * 5000: {"content": "<|far|>"}, "2": {"content": "<|im_end|>"}}
    config = {"eos_token": "<|im_end|>", "added_tokens_decoder": decoder}
    (folders / "adapter" / "tokenizer_config.json").write_text(json.dumps(config))
    assert found(folders) == (2,)


@pytest.mark.parametrize("name", ["generation_config.json", "tokenizer_config.json"])
def test_what_is_no_file_of_a_bearable_size_is_ignored(folders: Path, name: str) -> None:
    """A FIFO would be waited for without end, and a huge file fill the memory."""
    path = folders / "adapter" / name
    os.mkfifo(path)
    assert found(folders) == ()
    path.unlink()
    path.touch()
    os.truncate(path, 1 << 40)
    assert found(folders) == ()


@pytest.mark.parametrize("number", ["2", 2.5, True, None, -1, 1 << 40, [2]])
def test_what_is_no_id_ends_nothing(folders: Path, number: object) -> None:
    """Neither in a vocabulary nor in a generation config."""
    save_tokenizer(folders / "adapter", "<|im_end|>")
    save_generation(folders / "adapter", 1)
    path = folders / "adapter" / "tokenizer.json"
    tokenizer = json.loads(path.read_bytes())
    tokenizer["model"]["vocab"]["<|im_end|>"] = number
    tokenizer["added_tokens"] = []
    path.write_text(json.dumps(tokenizer))
    (folders / "adapter" / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    (folders / "base" / "tokenizer.json").unlink()
    (folders / "base" / "tokenizer_config.json").unlink()
    assert found(folders) == ()
    (folders / "adapter" / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [number]})
    )
    assert found(folders) == ()


def test_other_fields_of_a_generation_config_stay(folders: Path) -> None:
    """Only the end tokens are written anew."""
    config = json.loads(with_end_tokens(folders / "base" / "generation_config.json", (2,)))
    assert (config["eos_token_id"], config["temperature"]) == (2, 0.3)


def test_a_merged_folder_ends_where_its_adapter_does(folders: Path) -> None:
    """In its generation config and its config, and the report says so."""
    save_tokenizer(folders / "adapter", "<|im_end|>")
    report = merge(merge_settings(folders))
    assert report.end_tokens == (2,)
    assert set(report.adapter_files) >= {"tokenizer.json", "tokenizer_config.json"}
    merged = folders / "merged"
    generation = GenerationConfig.from_pretrained(merged)
    assert (generation.eos_token_id, generation.temperature) == (2, 0.3)
    assert json.loads((merged / "config.json").read_text())["eos_token_id"] == 2
    rows = dict(report._rows())
    assert rows["end tokens of the adapter"] == "2"
    assert "tokenizer.json" in rows["files of the adapter"]
    assert json.loads((merged / "merge.json").read_text())["end_tokens"] == [2]
