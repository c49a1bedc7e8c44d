"""A converted base has the tokenizer of its GGUF file, and names no path of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
