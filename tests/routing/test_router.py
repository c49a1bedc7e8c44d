"""Routers as folders: the same after they were written and read, and refused if they are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lorabay.errors import SetupError
from lorabay.routing.router import CONFIG_FILE, WEIGHTS_FILE, Router
from tests.peft_adapters import make_base
from tests.routing.conftest import PROMPTS
from tests.tokenizers import save_numbered_tokenizer


@pytest.fixture
def folder(router: Router, tmp_path: Path) -> Path:
    router.write(tmp_path / "router")
    return tmp_path / "router"


def test_it_is_the_same_after_it_was_read(router: Router, folder: Path, tiny_base: Path) -> None:
    """Every probability, to the bit; and its id is that of its bytes."""
    read = Router.read(folder, tiny_base)
    for prompt in PROMPTS:
        assert read.likely(prompt.text) == router.likely(prompt.text)
    assert len(read.id) == 12
    assert read.id == Router.read(folder, tiny_base).id
    assert read.threshold == router.threshold


def test_it_holds_no_code(folder: Path) -> None:
    """JSON and safetensors are all there is."""
    assert {file.name for file in folder.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}
    assert json.loads((folder / CONFIG_FILE).read_text())["classes"] == ["base", "bank", "shop"]
    assert all(tensor.dtype == np.float32 for tensor in load_file(folder / WEIGHTS_FILE).values())


def test_a_request_without_text_is_the_bases(router: Router) -> None:
    """A picture alone, or a prompt of token ids."""
    assert router.likely(" ") == {"base": 1.0, "bank": 0.0, "shop": 0.0}


def test_it_overwrites_nothing(router: Router, folder: Path) -> None:
    """A router is a version: another one is another folder."""
    with pytest.raises(SetupError, match="there already"):
        router.write(folder)


def test_another_base_is_noticed(folder: Path, tmp_path: Path) -> None:
    """By its width, and by its values alone."""
    other = make_base(tmp_path / "other")
    save_numbered_tokenizer(other, 64)
    with pytest.raises(SetupError, match="route train"):
        Router.read(folder, other)


def test_other_weights_of_the_same_shape_are_noticed(folder: Path, tiny_base: Path) -> None:
    """The vector of a sentence tells them apart."""
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors["probed"] = tensors["probed"] + 1
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(SetupError, match="another base"):
        Router.read(folder, tiny_base)


@pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x80\x04not a pickle"])
def test_what_is_no_router_is_refused(
    folder: Path, tiny_base: Path, name: str, content: bytes | None
) -> None:
    """In one line that names the file or the folder."""
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(SetupError, match="router"):
        Router.read(folder, tiny_base)


def test_numbers_that_are_none_are_refused(folder: Path, tiny_base: Path) -> None:
    """A NaN would send every question to the first class."""
    tensors = load_file(folder / WEIGHTS_FILE)
    tensors["weights"][0, 0] = np.nan
    save_file(tensors, folder / WEIGHTS_FILE)
    with pytest.raises(SetupError, match="finite"):
        Router.read(folder, tiny_base)
