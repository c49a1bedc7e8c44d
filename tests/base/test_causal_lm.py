"""A base is loaded in float32; a folder without one is an expected failure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError


def test_a_base_loads_in_float32(tiny_base: Path) -> None:
    """Whatever the saved format, the tools compute in float32, with dropout off."""
    model = load_model(tiny_base)
    assert model.dtype == torch.float32
    assert not model.training


@pytest.mark.parametrize("content", [None, "{}"])
def test_a_foreign_folder_is_an_expected_failure(tmp_path: Path, content: str | None) -> None:
    """An absent or foreign folder is named in one error, for the model and for the tokenizer."""
    folder = tmp_path / "nothing"
    if content is not None:
        folder.mkdir()
        (folder / "config.json").write_text(content, encoding="utf-8")
    for load in (load_model, load_tokenizer):
        with pytest.raises(SetupError, match="is not the folder of a base model"):
            load(folder)


def test_a_tokenizer_without_a_chat_template_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    """No prompt can be built without one."""
    folder = tmp_path / "plain"
    shutil.copytree(tiny_base, folder, ignore=shutil.ignore_patterns("chat_template.jinja"))
    with pytest.raises(SetupError, match="has no chat template"):
        load_tokenizer(folder)
