"""A converted base has the tokenizer of its GGUF file, and names no path of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gguf as library

from lorabay.base import gguf
from lorabay.base.default import find_gguf

if TYPE_CHECKING:
    from tests.fixtures.models import Prepared


def test_digits_are_split_from_their_surroundings(base_tokenizer: Any) -> None:
    """transformers' own reader of GGUF would join digits with one another and with spaces."""
    assert base_tokenizer.tokenize("12") == ["1", "2"]
    assert base_tokenizer.tokenize("a  2") == ["a", "ĠĠ", "2"]


def test_the_config_names_the_repository_only(prepared: Prepared) -> None:
    """The place of the GGUF file is not published."""
    config = json.loads((prepared.folder / "config.json").read_bytes())
    assert "_model_name_or_path" not in config
    assert str(prepared.cache) not in json.dumps(config)


def test_the_file_is_read_once() -> None:
    """However often transformers asks for it; afterwards the library is as it was."""
    before = (library.GGUFReader, library.get_tensor_name_map)
    source = find_gguf()
    with gguf.read_once():
        first = library.GGUFReader(source)
        assert library.GGUFReader(source) is first
        arch = library.MODEL_ARCH.LLAMA
        assert library.get_tensor_name_map(arch, 2) is library.get_tensor_name_map(arch, 2)
    assert (library.GGUFReader, library.get_tensor_name_map) == before

    plain = library.GGUFReader(source)
    assert first.fields.keys() == plain.fields.keys()
    assert [tensor.name for tensor in first.tensors] == [tensor.name for tensor in plain.tensors]
    assert (first.tensors[7].data == plain.tensors[7].data).all()
