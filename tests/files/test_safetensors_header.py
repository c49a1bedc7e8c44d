"""A header is read without trust, and written as the library reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from safetensors.numpy import save_file

from lorabay.files.safetensors_header import (
    TensorInfo,
    header_bytes,
    read_header,
    read_metadata,
    storage_order,
)
from lorabay.reasons import Rejected
from tests import making
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

ONE = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def header_of(path: Path, max_bytes: int = 1 << 20) -> tuple[TensorInfo, ...] | Rejected:
    with path.open("rb") as file:
        return read_header(file, max_bytes=max_bytes)


def write(path: Path, header: object, data: bytes = bytes(24)) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_reads_what_the_safetensors_library_writes(tmp_path: Path) -> None:
    """Names, dtypes, shapes and places agree with a file of the library itself."""
    arrays = {"b": np.ones((2, 3), np.float16), "a": np.arange(5, dtype=np.float32)}
    save_file(arrays, tmp_path / "file")
    content = (tmp_path / "file").read_bytes()
    infos = header_of(tmp_path / "file")
    assert not isinstance(infos, Rejected)
    assert [(info.name, info.dtype, info.shape) for info in infos] == [
        ("a", "F32", (5,)),
        ("b", "F16", (2, 3)),
    ]
    assert all(content[info.start : info.end] == arrays[info.name].tobytes() for info in infos)


@pytest.mark.parametrize(
    ("header", "data", "code"),
    [
        (b"{", bytes(24), "header_not_json"),
        (b"\xff\xfe", bytes(24), "header_not_json"),
        (b"[" * 100_000, bytes(24), "header_not_json"),
        (b'{"a": 1, "a": 2}', bytes(24), "header_not_json"),
        ([], bytes(24), "header_malformed"),
        ({"a": 3}, bytes(24), "header_malformed"),
        ({"a": ONE | {"shape": [-2, -3]}}, bytes(24), "header_malformed"),
        ({"a": ONE | {"shape": [2, 3.0]}}, bytes(24), "header_malformed"),
        ({"a": ONE | {"data_offsets": [0]}}, bytes(24), "header_malformed"),
        ({"a" * 10_000: ONE}, bytes(24), "header_malformed"),
        ({"a": ONE | {"dtype": "F4"}}, bytes(24), "tensor_dtype"),
        ({"a": ONE | {"shape": [2, 4]}}, bytes(24), "tensor_bytes"),
        ({"a": ONE | {"shape": [1 << 40, 1 << 40]}}, bytes(24), "tensor_bytes"),
        ({"a": ONE | {"data_offsets": [24, 0]}}, bytes(24), "tensor_bytes"),
        ({"a": ONE, "b": ONE}, bytes(24), "tensor_offsets"),
        ({"a": ONE | {"data_offsets": [8, 32]}}, bytes(32), "tensor_offsets"),
        ({"a": ONE | {"data_offsets": [-24, 0]}}, bytes(24), "tensor_offsets"),
        ({"a": ONE}, bytes(23), "data_truncated"),
        ({"a": ONE}, bytes(25), "data_trailing"),
    ],
)
def test_each_defect_has_its_reason(tmp_path: Path, header: object, data: bytes, code: str) -> None:
    """A header that lies about itself or the data is refused with the code of what is wrong."""
    result = header_of(write(tmp_path / "file", header, data))
    assert isinstance(result, Rejected)
    assert result.codes == {code}


@pytest.mark.parametrize(
    ("claim", "code"), [(2 << 30, "header_too_large"), (10_000, "header_truncated")]
)
def test_a_claimed_length_is_not_believed(tmp_path: Path, claim: int, code: str) -> None:
    """A header that claims two gigabytes, or more than the file has, is not read."""
    (tmp_path / "file").write_bytes(claim.to_bytes(8, "little") + b"{}")
    result = header_of(tmp_path / "file")
    assert isinstance(result, Rejected)
    assert result.codes == {code}


@pytest.mark.parametrize("size", range(8))
def test_a_file_shorter_than_its_length_field_is_refused(tmp_path: Path, size: int) -> None:
    """A file of fewer than eight bytes is a reason, not an exception."""
    (tmp_path / "file").write_bytes(bytes(size))
    result = header_of(tmp_path / "file")
    assert isinstance(result, Rejected)
    assert result.codes == {"header_truncated"}


@settings(max_examples=examples(300))
@given(st.data())
def test_no_damage_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes are flipped or cut, the result is tensors inside the file, or reasons."""
    path = tmp_path_factory.getbasetemp() / "damaged"
    making.save(path, {"a": making.stored(np.ones((2, 3))), "b": making.stored(np.ones(4), "F16")})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(content)
    result = header_of(path)
    if not isinstance(result, Rejected):
        assert all(0 <= info.start <= info.end <= len(content) for info in result)


def test_written_headers_are_read_by_the_library(tmp_path: Path) -> None:
    """Header and data together are a file for the safetensors library and our own reader."""
    tensors = making.lora_tensors(dtype="BF16") | {"odd": making.stored(np.ones((1, 3)), "F32")}
    infos = [TensorInfo(name, raw.dtype, raw.shape, 0, 0) for name, raw in tensors.items()]
    infos.sort(key=storage_order)
    content = header_bytes(infos) + b"".join(tensors[info.name].data for info in infos)
    (tmp_path / "file").write_bytes(content)
    assert making.load(tmp_path / "file") == tensors
    with (tmp_path / "file").open("rb") as file:
        found = read_header(file, max_bytes=1 << 20)
    assert all(info.start % 4 == 0 for info in found if info.dtype == "F32")


def test_the_words_of_a_header_are_kept(tmp_path: Path) -> None:
    """A reader finds what a writer put in; a header that is none has no words."""
    path = tmp_path / "file"
    path.write_bytes(header_bytes([], metadata={"made": "here", "format": "other"}))
    with path.open("rb") as file:
        assert read_metadata(file, max_bytes=1 << 20) == {"made": "here", "format": "pt"}
    for content in (b"", b"\xff" * 20, (4).to_bytes(8, "little") + b"[1]\n", b"\0" * 8):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert read_metadata(file, max_bytes=1 << 20) == {}


def test_thousands_of_wrong_entries_are_not_all_told(tmp_path: Path) -> None:
    """A header has room for a million, and each reason takes some hundred bytes."""
    header = {str(number): number for number in range(5000)}
    result = header_of(write(tmp_path / "file", header))
    assert isinstance(result, Rejected)
    assert len(result.reasons) == 1001
    assert result.reasons[-1].text == "4000 more entries were not looked at"
