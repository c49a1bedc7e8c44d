"""Tensors of a base are read with the numbers that they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lorabay.base.tensors import Computed, Stored, read_into
from lorabay.errors import SetupError

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn,
    "I8": torch.int8,
    "U8": torch.uint8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
}


@pytest.mark.parametrize("dtype", TORCH)
def test_numbers_are_those_of_torch(tmp_path: Path, dtype: str) -> None:
    """Floats come as float32 and integers as they are, from any place of a file."""
    values = torch.tensor([[1.0, 2.5, -3.0], [0.0, 100.0, -0.5]])
    if dtype.startswith("U"):
        values = values.abs()
    tensor = values.to(TORCH[dtype])
    data = tensor.view(torch.uint8).numpy().tobytes()
    (tmp_path / "file").write_bytes(b"head" + data + b"tail")

    stored = Stored("x", tmp_path / "file", dtype, (2, 3), 4, len(data))
    numbers = stored.values()
    assert stored.read_bytes().tobytes() == data
    assert numbers.dtype == (np.float32 if tensor.is_floating_point() else numbers.dtype)
    assert numbers.tolist() == tensor.to(torch.float64).tolist()


def test_every_code_of_float8_is_torchs(tmp_path: Path) -> None:
    """All 256, with NaN in the places where torch has it."""
    (tmp_path / "file").write_bytes(bytes(range(256)))
    ours = Stored("x", tmp_path / "file", "F8_E4M3", (256,), 0, 256).values()
    codes = torch.arange(256, dtype=torch.int64).to(torch.uint8)
    theirs = codes.view(torch.float8_e4m3fn).float().numpy()
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_a_file_that_became_shorter_is_an_expected_failure(tmp_path: Path) -> None:
    """A base that changes under a reader is never read as zeros."""
    (tmp_path / "file").write_bytes(b"123")
    with pytest.raises(SetupError, match="became shorter"):
        Stored("x", tmp_path / "file", "U8", (4,), 0, 4).values()
    with (tmp_path / "file").open("rb") as file, pytest.raises(SetupError, match="became shorter"):
        read_into(np.empty(2, np.uint8), file.fileno(), 2)


def test_a_computed_tensor_is_made_when_it_is_asked_for() -> None:
    """Each time anew, as nothing is kept."""
    made: list[int] = []

    def load() -> np.ndarray:
        made.append(1)
        return np.ones((2, 2), np.float32)

    computed = Computed((2, 2), load)
    assert not made
    assert computed.values().shape == computed.values().shape == computed.shape
    assert len(made) == 2
