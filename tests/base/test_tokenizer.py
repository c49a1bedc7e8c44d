"""What is known of a base's tokenizer from its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.base.tokenizer import BaseTokenizer
from tests.tokenizers import END, OTHER_END, TEMPLATE, save_tokenizer


@pytest.mark.parametrize("legacy", [False, True])
def test_the_files_of_transformers_are_understood(tmp_path: Path, legacy: bool) -> None:
    """Template, end tokens of both files, and every token."""
    folder = save_tokenizer(tmp_path / "base", legacy=legacy)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, 2]}))
    base = BaseTokenizer(folder)
    assert base.chat_template == TEMPLATE
    assert base.end_tokens == {END, OTHER_END}
    assert base.has("yes")
    assert base.has(END)
    assert not base.has("<|new|>")
    assert base.text_of(3) == "yes"
    assert base.text_of(99) is None


def test_a_processor_has_its_template_in_a_file_of_its_own(tmp_path: Path) -> None:
    """As those of images and text saved it before there were jinja files."""
    folder = save_tokenizer(tmp_path / "base", template=None)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    assert BaseTokenizer(folder).chat_template == TEMPLATE


def test_a_base_without_files_has_nothing(tmp_path: Path) -> None:
    """Nor has one whose files cannot be understood, or of which nothing is known."""
    (tmp_path / "tokenizer.json").write_text("version https://git-lfs")
    (tmp_path / "tokenizer_config.json").write_text("[]")
    for base in (BaseTokenizer(), BaseTokenizer(tmp_path)):
        assert base.chat_template is None
        assert base.end_tokens == frozenset()
        assert not base.has("yes")


def test_the_identity_follows_what_adapters_are_held_against(tmp_path: Path) -> None:
    """Another template is another base for an adapter's template; a card is not."""
    folder = save_tokenizer(tmp_path / "base")
    before = BaseTokenizer(folder).identity
    (folder / "README.md").write_text("card")
    assert BaseTokenizer(folder).identity == before
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert BaseTokenizer(folder).identity != before
