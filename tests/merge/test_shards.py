"""Weights files: whole under their names or not there, with the tallies of their tensors."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense, Update
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.merge.shards import ShardWriter, read_tallies
from lorabay.merge.tensors import Shard, Target
from tests import making

SHAPE = (6, 4)
W = np.arange(24, dtype=np.float32).reshape(SHAPE)
FILE = "model.safetensors"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A file with two tensors of the same numbers."""
    path = tmp_path / "base.safetensors"
    making.save(path, {"same": making.stored(W), "moved": making.stored(W)})
    return path


def shard(base: Path, *updates: Update) -> Shard:
    """Both tensors; the second one gets the updates."""
    first = base.stat().st_size - 2 * W.nbytes
    same = Stored("same", base, "F32", SHAPE, first, W.nbytes)
    moved = Stored("moved", base, "F32", SHAPE, first + W.nbytes, W.nbytes)
    return Shard(
        FILE,
        (Target("same", "F32", SHAPE, same), Target("moved", "F32", SHAPE, moved, updates)),
    )


def write(folder: Path, one: Shard, advance: Callable[[str, int], None] = lambda *_: None) -> None:
    with ShardWriter(folder, np.float32, 2, advance) as writer:
        writer.write(one)
        writer.finish()


def test_a_file_with_its_tallies(tmp_path: Path, base: Path) -> None:
    """Untouched bytes are the base's, the others the sum, and every byte is reported once."""
    sizes: list[int] = []
    one = shard(base, Dense(lambda: W + 1))
    write(tmp_path, one, lambda _, size: sizes.append(size))

    tensors = making.load(tmp_path / FILE)
    assert tensors == {"same": making.stored(W), "moved": making.stored(2 * W + 1)}
    assert (tmp_path / FILE).stat().st_size == one.file_size
    assert sum(sizes) == one.size
    tallies = read_tallies(tmp_path, FILE)
    assert tallies is not None
    assert set(tallies) == {"moved"}
    assert tallies["moved"].changed == W.size


def test_a_base_that_became_shorter(tmp_path: Path, base: Path) -> None:
    """Nothing of the file stays."""
    one = shard(base)
    os.truncate(base, base.stat().st_size - 8)
    with pytest.raises(SetupError, match="became shorter"):
        write(tmp_path, one)
    assert {path.name for path in tmp_path.iterdir()} == {base.name}


def test_a_failure_waits_for_the_tasks_that_run(tmp_path: Path, base: Path) -> None:
    """No thread goes on with a file that is closed, and the next file can be written."""

    def stop(tensor: str, size: int) -> None:
        raise SetupError("stopped")

    one = shard(base, Dense(lambda: W))
    with ShardWriter(tmp_path, np.float32, 2, stop) as writer:
        for _ in range(2):
            with pytest.raises(SetupError, match="stopped"):
                writer.write(one)
    assert {path.name for path in tmp_path.iterdir()} == {base.name}


def test_a_failure_keeps_the_files_that_are_whole(tmp_path: Path, base: Path) -> None:
    """An earlier file of the same run appears, also when the next one fails."""

    def fail() -> np.ndarray:
        raise SetupError("unreadable")

    good = shard(base, Dense(lambda: W))
    bad = Shard("bad.safetensors", shard(base, Dense(fail)).targets)
    with ShardWriter(tmp_path, np.float32, 2, lambda *_: None) as writer:
        writer.write(good)
        with pytest.raises(SetupError, match="unreadable"):
            writer.write(bad)
    assert (tmp_path / FILE).exists()
    assert not list(tmp_path.glob("*bad*"))


@pytest.mark.parametrize("text", ["", "[]", '{"x": {"unknown": 1}}'])
def test_tallies_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """They count as missing, so that the file is made again."""
    (tmp_path / f"{FILE}.facts").write_text(text)
    assert read_tallies(tmp_path, FILE) is None
