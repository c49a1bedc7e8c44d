"""Pickled weights: refused, or read without running code and kept while a block lasts."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from lorabay.errors import SetupError
from lorabay.tools.pickles import without_pickled_adapter, without_pickles
from tests import making
from tests.merge.bases import make_base, make_lora

if TYPE_CHECKING:
    from collections.abc import Callable

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return make_base(tmp_path / "base", files=1), make_lora(tmp_path / "adapter")


def pickled(folder: Path, safe: str, name: str, content: object = TENSORS) -> Path:
    """Replace the weights of `folder` by a pickle."""
    (folder / safe).unlink()
    torch.save(content, folder / name)
    return folder


def test_safetensors_are_used_as_they_are(folders: tuple[Path, Path]) -> None:
    """A pickle beside them is not read."""
    base, adapter = folders
    (adapter / "adapter_model.bin").write_bytes(b"no pickle")
    with without_pickles(base, adapter, allowed=True) as readable:
        assert readable == (base, adapter)


def test_pickles_become_temporary_safetensors(folders: tuple[Path, Path]) -> None:
    """The folders have the same names and configs, and are gone after the block."""
    base = pickled(folders[0], "model.safetensors", "pytorch_model.bin")
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_model.pt")
    with without_pickles(base, adapter, allowed=True) as (readable_base, readable_adapter):
        assert [readable_base.name, readable_adapter.name] == ["base", "adapter"]
        assert (readable_base / "config.json").read_bytes() == (base / "config.json").read_bytes()
        for path in (
            readable_base / "model.safetensors",
            readable_adapter / "adapter_model.safetensors",
        ):
            assert set(making.load(path)) == set(TENSORS)
    assert not readable_base.exists()
    assert not readable_adapter.exists()


def test_a_base_in_parts(folders: tuple[Path, Path]) -> None:
    """Every part is converted, and the index names the new files."""
    base, adapter = folders
    (base / "model.safetensors").unlink()
    for name, tensor in TENSORS.items():
        torch.save({name: tensor}, base / f"{name}.bin")
    index = {"weight_map": {"a": "a.bin", "b": "b.bin"}}
    (base / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with without_pickles(base, adapter, allowed=True) as (readable, _):
        index = json.loads((readable / "model.safetensors.index.json").read_bytes())
        assert index["weight_map"] == {
            "a": "model-00001.safetensors",
            "b": "model-00002.safetensors",
        }


def test_a_pickled_adapter_is_refused(folders: tuple[Path, Path]) -> None:
    """It is read only if pickles are allowed."""
    base, adapter = folders
    pickled(adapter, "adapter_model.safetensors", "adapter_model.bin")
    with (
        pytest.raises(SetupError, match=r"is a pickle \(adapter_model\.bin\)"),
        without_pickles(base, adapter, allowed=False),
    ):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"x": os.system}), "cannot be read without running code"),
        (b"", "cannot be read without running code, or is damaged"),
    ],
)
def test_a_pickle_that_would_run_code(
    folders: tuple[Path, Path], content: bytes, message: str
) -> None:
    """It is refused also when pickles are allowed, and so is a damaged one."""
    base, adapter = folders
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.bin").write_bytes(content)
    with (
        pytest.raises(SetupError, match=message),
        without_pickles(base, adapter, allowed=True),
    ):
        pass


def test_a_pickle_of_something_else(folders: tuple[Path, Path]) -> None:
    """Only tensors by name are weights."""
    base, adapter = folders
    pickled(adapter, "adapter_model.safetensors", "adapter_model.bin", {"a": [1, 2]})
    with (
        pytest.raises(SetupError, match="holds something else than tensors by name"),
        without_pickles(base, adapter, allowed=True),
    ):
        pass


def test_an_adapter_alone(folders: tuple[Path, Path]) -> None:
    """Of torchtune's two pickles PEFT's own is taken; a config need not be there."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_0.bin")
    torch.save({"layers.0.x.lora_a.weight": torch.ones(2)}, adapter / "adapter_0.pt")
    (adapter / "adapter_config.json").unlink()
    with without_pickled_adapter(adapter, allowed=True) as readable:
        assert set(making.load(readable / "adapter_model.safetensors")) == set(TENSORS)
        assert not (readable / "adapter_config.json").exists()
    assert not readable.exists()


def test_of_several_pickles_none_is_chosen(folders: tuple[Path, Path]) -> None:
    """Which epoch is meant is for the user to say."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_0.pt")
    torch.save(TENSORS, adapter / "adapter_1.pt")
    with (
        pytest.raises(SetupError, match=r"adapter_0\.pt, adapter_1\.pt"),
        without_pickled_adapter(adapter, allowed=True),
    ):
        pass


def test_another_trainers_safetensors_win_over_a_pickle(folders: tuple[Path, Path]) -> None:
    """Nothing is made of a folder that holds readable weights."""
    _, adapter = folders
    (adapter / "adapter_model.safetensors").rename(adapter / "adapters.safetensors")
    torch.save(TENSORS, adapter / "adapter_model.pt")
    with without_pickled_adapter(adapter, allowed=False) as readable:
        assert readable == adapter


def unused(folders: tuple[Path, Path]) -> None:
    base, adapter = folders
    with without_pickles(base, adapter, allowed=True):
        pass


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.bin"])
def test_a_fifo_is_not_waited_for(folders: tuple[Path, Path], name: str) -> None:
    """Neither in the place of the config nor of the weights."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_model.bin")
    (adapter / name).unlink()
    os.mkfifo(adapter / name)
    with pytest.raises(SetupError, match="is not a regular file"):
        unused(folders)


def test_a_config_that_would_fill_the_memory(folders: tuple[Path, Path]) -> None:
    """It is refused by its size."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_model.bin")
    os.truncate(adapter / "adapter_config.json", 1 << 40)
    with pytest.raises(SetupError, match="the limit is"):
        unused(folders)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a", lambda: torch.eye(3).to_sparse()),
        ("a", lambda: torch.empty(3, device="meta")),
        ("a", lambda: torch.ones(1).expand(1 << 45)),
        ("a", lambda: torch.ones(2, dtype=torch.complex128)),
        ("\ud800", lambda: torch.ones(2)),
        (7, lambda: torch.ones(2)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_safetensors_cannot_keep(
    folders: tuple[Path, Path], name: object, make: Callable[[], torch.Tensor]
) -> None:
    """One line each, which names the file."""
    pickled(folders[1], "adapter_model.safetensors", "adapter_model.bin", {name: make()})
    with pytest.raises(SetupError, match=r"adapter_model\.bin holds ") as raised:
        unused(folders)
    assert "\n" not in raised.value.message


QUANTISED = """
import sys, torch
torch.save({"a": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8)}, sys.argv[1])
"""


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_are_none_that_safetensors_keeps(folders: tuple[Path, Path]) -> None:
    """Another process saves them: pickle asks every module that is loaded here for their type."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_model.bin")
    file = str(adapter / "adapter_model.bin")
    subprocess.run([sys.executable, "-W", "ignore", "-c", QUANTISED, file], check=True)
    with pytest.raises(SetupError, match=r"holds what safetensors cannot keep: .*qint8"):
        unused(folders)


@pytest.mark.parametrize("steps", [b"0.", b"(u.", b"h\x05.", b"]s."])
def test_a_damaged_pickle_is_one_line(folders: tuple[Path, Path], steps: bytes) -> None:
    """Its steps fail in ways of their own."""
    adapter = pickled(folders[1], "adapter_model.safetensors", "adapter_model.bin")
    whole = adapter / "adapter_model.bin"
    with zipfile.ZipFile(whole) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, b"\x80\x02" + steps if name.endswith("data.pkl") else content)
    with pytest.raises(SetupError, match="is damaged"):
        unused(folders)


@pytest.mark.parametrize("index", ["[]", "{", '{"weight_map": {"a": 7}}', "[" * 100_000])
def test_an_index_that_names_no_files(folders: tuple[Path, Path], index: str) -> None:
    """The line names it."""
    base, _ = folders
    (base / "model.safetensors").unlink()
    (base / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(SetupError, match=r"index\.json cannot be read"):
        unused(folders)
