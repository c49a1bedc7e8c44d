"""Files in another's place are known by how they begin."""

from __future__ import annotations

import io
import pickle
import tarfile
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from lorabay.files.adapter_folder import Limits, read_object
from lorabay.files.impostors import impostor, text_instead
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from pathlib import Path

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)
"""As Git LFS writes it; repositories on Xet storage have the same pointers."""


def torch_file(**options: bool) -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.ones(2)}, file, **options)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("finance/adapter_config.json", "{}")
    return file.getvalue()


def tarball() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz"):
        pass
    return file.getvalue()


CASES = {
    "pointer": (POINTER, "lfs_pointer", "git lfs pull"),
    "pointer of git-xet": (b"# xet version 0\nfilesize = 3\n", "lfs_pointer", "hf download"),
    "page": (b"<!DOCTYPE html>\n<html><head>", "web_page", "login"),
    "page after a blank": (b"\n  <HTML lang='en'>", "web_page", "download"),
    "torch's zip": (torch_file(), "pickle", "--allow-pickle"),
    "torch's old pickle": (
        torch_file(_use_new_zipfile_serialization=False),
        "pickle",
        "--allow-pickle",
    ),
    "pickle": (pickle.dumps({"a": 1}), "pickle", "--allow-pickle"),
    "zip": (archive(), "archive", "unpack"),
    "tar.gz": (tarball(), "archive", "unpack"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(16), "foreign_format", "llama.cpp"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_is_named_where_weights_should_be(case: str, tmp_path: Path) -> None:
    """The reason says what the file is, and what to do."""
    content, code, word = CASES[case]
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        result = read_header(file, max_bytes=1 << 20)
    assert isinstance(result, Rejected)
    assert result.codes == {code}
    assert word in result.line


@pytest.mark.parametrize("case", ["pointer", "page", "zip"])
def test_each_is_named_where_a_config_should_be(case: str, tmp_path: Path) -> None:
    """Not only that it is no JSON."""
    content, code, _ = CASES[case]
    (tmp_path / "adapter_config.json").write_bytes(content)
    result = read_object(tmp_path / "adapter_config.json", Limits())
    assert isinstance(result, Rejected)
    assert result.codes == {code}
    assert "adapter_config.json" in result.line


def test_a_servers_error_is_text(tmp_path: Path) -> None:
    """Its beginning is shown, so that one sees what went wrong."""
    (tmp_path / "file").write_bytes(b'{"error":"Repository not found"}')
    with (tmp_path / "file").open("rb") as file:
        result = read_header(file, max_bytes=1 << 20)
    assert isinstance(result, Rejected)
    assert result.codes == {"text_file"}
    assert "Repository not found" in result.line


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x8B1F, 0x5A42])
def test_no_length_of_a_header_is_taken_for_another_file(length: int, tmp_path: Path) -> None:
    """The first bytes of a safetensors file may be those of a pickle or of an archive."""
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    old = int.from_bytes(content[:8], "little")
    padded = content[8 : 8 + old] + b" " * (length - old) + content[8 + old :]
    (tmp_path / "file").write_bytes(length.to_bytes(8, "little") + padded)
    with (tmp_path / "file").open("rb") as file:
        assert not isinstance(read_header(file, max_bytes=1 << 20), Rejected)


def test_what_may_be_itself_is_let_through() -> None:
    """JSON is no impostor of a config, nor is any binary number of a weights file."""
    assert impostor("config", b'{"peft_type": "LORA"}') is None
    assert text_instead("weights", (1000).to_bytes(8, "little") + b'{"a"') is None
