"""Weights that are held open are those that were opened, or a reason."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorabay.files.adapter_folder import WEIGHTS_FILE, Limits, Unreadable
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.reasons import Rejected
from tests import making


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return making.make_adapter(tmp_path / "a")


def opened(folder: Path) -> AdapterWeights:
    weights = AdapterWeights.open(folder, Limits())
    assert isinstance(weights, AdapterWeights)
    return weights


def test_every_tensor_is_read_from_any_thread(folder: Path) -> None:
    """The numbers are those of the file, also when several threads read at once."""
    weights = opened(folder)
    expected = making.load(folder / WEIGHTS_FILE)
    with ThreadPoolExecutor(4) as pool:
        tensors = list(pool.map(weights.read, weights.tensors))
    assert [info.name for info in weights.tensors] == sorted(expected)
    for info, tensor in zip(weights.tensors, tensors, strict=True):
        assert tensor.values.tobytes() == expected[info.name].data


def test_the_file_that_was_opened_is_read(folder: Path) -> None:
    """Another file under the same name changes nothing."""
    weights = opened(folder)
    expected = making.load(folder / WEIGHTS_FILE)
    (folder / WEIGHTS_FILE).unlink()
    (folder / WEIGHTS_FILE).write_bytes(b"other")
    info = weights.tensors[0]
    assert weights.read(info).values.tobytes() == expected[info.name].data


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: os.utime(path, (1, 1)),
    ],
)
def test_a_file_that_changes_is_not_read(folder: Path, change: object) -> None:
    """Whatever changes it, its size or its time tells."""
    weights = opened(folder)
    assert callable(change)
    change(folder / WEIGHTS_FILE)
    with pytest.raises(Unreadable) as error:
        weights.read(weights.tensors[0])
    assert error.value.reason.code == "changed_while_read"


def test_weights_that_cannot_be_opened_are_a_reason(tmp_path: Path, folder: Path) -> None:
    """A missing file, a broken header and a file over the limit each have their code."""
    (tmp_path / "b").mkdir()
    missing = AdapterWeights.open(tmp_path / "b", Limits())
    small = AdapterWeights.open(folder, Limits(weights_bytes=10))
    (folder / WEIGHTS_FILE).write_bytes(b"short")
    broken = AdapterWeights.open(folder, Limits())
    found = [result.codes for result in (missing, small, broken) if isinstance(result, Rejected)]
    assert found == [{"weights_missing"}, {"file_too_large"}, {"header_truncated"}]


def is_open(path: Path) -> bool:
    """Return whether this process has a descriptor of the file."""
    links = Path("/proc/self/fd").iterdir()
    return any(os.path.realpath(link) == str(path) for link in links)


def test_a_dropped_file_is_closed(folder: Path) -> None:
    """No descriptor is left when nothing refers to the weights any more."""
    weights = opened(folder)
    assert is_open(folder / WEIGHTS_FILE)
    del weights
    assert not is_open(folder / WEIGHTS_FILE)
