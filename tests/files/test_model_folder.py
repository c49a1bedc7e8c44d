"""The files of a whole model are copied as they were at one moment, and hashed on the way."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from lorabay.files import model_folder
from lorabay.files.folder_read import FolderRead, Stopped
from lorabay.files.model_folder import copy_model, is_whole_model, model_files_in
from lorabay.reasons import Rejected
from tests import making

ANYWHERE = (Path("/"),)


@pytest.mark.parametrize(
    ("names", "is_model"),
    [
        ({"config.json", "model.safetensors"}, True),
        ({"config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors"}, True),
        ({"config.json"}, False),
        ({"model.safetensors"}, False),
        ({"config.json", "pytorch_model.bin"}, False),
        ({"config.json", "model.safetensors", "adapter_config.json"}, False),
        ({"config.json", "model.safetensors", "adapter_model.safetensors"}, False),
    ],
)
def test_what_a_whole_model_is(names: set[str], is_model: bool) -> None:
    """Config and safetensors make one; the files of an adapter make it an adapter."""
    assert is_whole_model(names) is is_model


def copied(folder: Path, target: Path, read: FolderRead | None = None) -> str | Rejected:
    target.mkdir()
    return copy_model(folder, target, roots=ANYWHERE, read=read)


def test_known_files_are_copied_and_no_other(tmp_path: Path) -> None:
    """No program, no pickle, no state of the training: what the engine does not need stays."""
    source = making.make_model(tmp_path / "model")
    for name in ("modeling_own.py", "optimizer.pt", "README.md", "pytorch_model.bin"):
        (source / name).write_text("x")
    (source / "lorabay.toml").write_text('description = "A model"')
    assert isinstance(copied(source, tmp_path / "copy"), str)
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(model_files_in(source)) == names | {"lorabay.toml"}
    for name in names:
        assert (tmp_path / "copy" / name).read_bytes() == (source / name).read_bytes()


def test_the_digest_is_that_of_names_and_bytes(tmp_path: Path) -> None:
    """It is the same wherever a model lies, and another after a change of any file."""
    source = making.make_model(tmp_path / "model")
    first = copied(source, tmp_path / "first")
    assert copied(shutil.copytree(source, tmp_path / "again"), tmp_path / "second") == first
    (source / "tokenizer_config.json").write_text("{}")
    third = copied(source, tmp_path / "third")
    (source / "tokenizer_config.json").rename(source / "special_tokens_map.json")
    assert len({first, third, copied(source, tmp_path / "fourth")}) == 3


def test_a_change_of_the_source_in_place_does_not_reach_the_copy(tmp_path: Path) -> None:
    """A trainer that saves over its last checkpoint writes into the same file."""
    source = making.make_model(tmp_path / "model")
    before = (source / "model.safetensors").read_bytes()
    copied(source, tmp_path / "copy")
    with (source / "model.safetensors").open("r+b") as file:
        file.write(b"\0" * 64)
    assert (tmp_path / "copy" / "model.safetensors").read_bytes() == before


def test_what_cannot_be_copied_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO, a link that leads away, a folder that vanished, a disk without room."""
    source = making.make_model(tmp_path / "model")
    os.mkfifo(source / "vocab.json")
    assert codes(copied(source, tmp_path / "a")) == {"special_file"}
    (source / "vocab.json").unlink()

    (source / "vocab.json").symlink_to("/etc/hostname")
    (tmp_path / "b").mkdir()
    result = copy_model(source, tmp_path / "b", roots=(tmp_path,))
    assert codes(result) == {"link_outside"}
    (source / "vocab.json").unlink()

    assert codes(copied(tmp_path / "gone", tmp_path / "c")) == {"vanished"}
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(model_folder.shutil, "disk_usage", lambda path: usage(1000))
    assert codes(copied(source, tmp_path / "d")) == {"store_full"}


def test_a_copy_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    """Also in the middle of a large file."""
    read = FolderRead()
    read.stop()
    with pytest.raises(Stopped):
        copied(making.make_model(tmp_path / "model"), tmp_path / "copy", read)


def codes(result: str | Rejected) -> frozenset[str]:
    assert isinstance(result, Rejected), result
    return result.codes
