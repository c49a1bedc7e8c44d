"""The one reader of a base folder: what it holds, and every way in which it may be damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.base.files import (
    INDEX_FILE,
    SINGLE_FILE,
    BaseFiles,
    public_name,
    read_config,
)
from lorabay.errors import SetupError
from tests import making

Open = Callable[[Path], BaseFiles]
BOTH = pytest.mark.parametrize("open_base", [BaseFiles.open, BaseFiles.open_whole])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "base")


@pytest.fixture
def sharded(folder: Path) -> Path:
    """The base in two files with an index."""
    tensors = making.load(folder / SINGLE_FILE)
    (folder / SINGLE_FILE).unlink()
    names = sorted(tensors)
    files = {name: f"model-{1 + names.index(name) % 2}.safetensors" for name in names}
    for file in set(files.values()):
        part = {name: tensor for name, tensor in tensors.items() if files[name] == file}
        making.save(folder / file, part)
    (folder / INDEX_FILE).write_text(json.dumps({"weight_map": files}))
    return folder


@BOTH
def test_every_tensor_has_its_place(folder: Path, open_base: Open) -> None:
    """The bytes at each place are the tensor's, in the order in which they are stored."""
    base = open_base(folder)
    stored = making.load(folder / SINGLE_FILE)
    assert base.files == (folder / SINGLE_FILE,)
    assert base.config["_name_or_path"] == making.BASE_NAME
    assert base.tensors.keys() == stored.keys()
    for name, tensor in base.tensors.items():
        assert (tensor.dtype, tensor.shape) == (stored[name].dtype, stored[name].shape)
        assert tensor.read_bytes().tobytes() == stored[name].data
    starts = [tensor.start for tensor in base.tensors.values()]
    assert starts == sorted(starts)
    assert base.size == sum(len(tensor.data) for tensor in stored.values())


@BOTH
def test_shards_are_read_together(sharded: Path, open_base: Open) -> None:
    """Files come by name, and each has a state that another time of change alters."""
    base = open_base(sharded)
    assert [path.name for path in base.files] == ["model-1.safetensors", "model-2.safetensors"]
    assert [name for name, _, _ in base.states] == [path.name for path in base.files]
    (sharded / "model-2.safetensors").touch()
    again = open_base(sharded)
    assert again.tensors == base.tensors
    assert again.states[0] == base.states[0]
    assert again.states[1] != base.states[1]


@BOTH
@pytest.mark.parametrize("name", ["../model.safetensors", "a/b", "..", "", "a\0b"])
def test_an_index_names_only_files_of_its_folder(sharded: Path, open_base: Open, name: str) -> None:
    """An index that somebody made to do harm reads nothing elsewhere."""
    (sharded / INDEX_FILE).write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(SetupError, match="not one of its own folder"):
        open_base(sharded)


@BOTH
@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}'])
def test_an_index_that_lists_nothing_is_refused(
    sharded: Path, open_base: Open, content: str
) -> None:
    """The message says what to do."""
    (sharded / INDEX_FILE).write_text(content)
    with pytest.raises(SetupError, match="lists no weight files; download the base again"):
        open_base(sharded)


def test_the_first_defect_is_enough_for_a_reader_of_shapes(sharded: Path) -> None:
    """The file that cannot be read is named."""
    (sharded / "model-1.safetensors").write_bytes(b"short")
    (sharded / "model-2.safetensors").unlink()
    with pytest.raises(SetupError) as error:
        BaseFiles.open(sharded)
    assert "model-1.safetensors cannot be used" in error.value.message
    assert "model-2.safetensors" not in error.value.message


def test_a_whole_base_reports_every_defect(sharded: Path) -> None:
    """Each file that is missing or broken is named in one message."""
    (sharded / "model-1.safetensors").write_bytes(b"short")
    (sharded / "model-2.safetensors").unlink()
    with pytest.raises(SetupError) as error:
        BaseFiles.open_whole(sharded)
    assert "model-1.safetensors cannot be used" in error.value.message
    assert "model-2.safetensors are missing; download the base again" in error.value.message


def test_a_whole_base_is_what_its_index_says(sharded: Path) -> None:
    """A tensor that the index lists and no file holds is a defect, but not for the server."""
    index = json.loads((sharded / INDEX_FILE).read_bytes())
    index["weight_map"]["more"] = "model-1.safetensors"
    (sharded / INDEX_FILE).write_text(json.dumps(index))
    assert "more" not in BaseFiles.open(sharded).tensors
    with pytest.raises(SetupError, match=r"says that 'model-1\.safetensors' holds 'more'"):
        BaseFiles.open_whole(sharded)


def test_a_whole_base_holds_no_tensor_twice(sharded: Path) -> None:
    """It would not be clear which one the model has."""
    (sharded / "model-2.safetensors").write_bytes((sharded / "model-1.safetensors").read_bytes())
    with pytest.raises(SetupError, match="which another file holds too"):
        BaseFiles.open_whole(sharded)


def test_more_than_three_defects_are_counted(sharded: Path) -> None:
    """The message stays readable."""
    (sharded / INDEX_FILE).write_text(
        json.dumps({"weight_map": {str(number): f"model-{number}" for number in range(5)}})
    )
    with pytest.raises(SetupError, match="and 2 more problems"):
        BaseFiles.open_whole(sharded)


def test_a_pickled_base_is_told_apart_from_none(folder: Path) -> None:
    """A merge points to --allow-pickle; a server, which has no such flag, asks for safetensors."""
    (folder / SINGLE_FILE).unlink()
    (folder / "pytorch_model.bin").touch()
    with pytest.raises(SetupError, match="--allow-pickle"):
        BaseFiles.open_whole(folder)
    with pytest.raises(SetupError, match=r"has no model\.safetensors"):
        BaseFiles.open(folder)


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "does not exist"), ("{", "is not valid JSON"), ("[]", "is not a JSON object")],
)
def test_a_config_that_cannot_be_used_is_named(
    tmp_path: Path, content: str | None, text: str
) -> None:
    """The message has the path of the file."""
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(SetupError, match=f"config.json {text}"):
        read_config(tmp_path)


def test_the_public_name_is_never_a_path(tmp_path: Path) -> None:
    """The name in the config comes first, then the folder's own name."""
    (tmp_path / "tiny").mkdir()
    assert public_name({}, tmp_path / "tiny" / ".." / "tiny") == "tiny"
    assert public_name({"_name_or_path": ""}, tmp_path / "tiny") == "tiny"
    assert public_name({"_name_or_path": "org/model"}, tmp_path / "tiny") == "org/model"


def test_every_file_has_its_words(sharded: Path) -> None:
    """What writers of packed weights put into headers."""
    base = BaseFiles.open(sharded)
    assert base.metadata() == {path: {"format": "pt"} for path in base.files}
