"""Weights files: whole under their names or not there, with the tallies of their tensors."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense, PeftLayer, Update
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.merge import shards
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


@pytest.mark.parametrize("numbers", [1, 9, 1 << 21])
def test_tasks_of_any_size(
    tmp_path: Path, base: Path, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the counts do not depend on how the work is cut."""
    monkeypatch.setattr(shards, "TASK_NUMBERS", numbers)
    monkeypatch.setattr(shards, "_COPIED_BYTES", numbers)
    write(tmp_path, shard(base, Dense(lambda: W)))
    assert making.load(tmp_path / FILE)["moved"] == making.stored(2 * W)
    assert making.load(tmp_path / FILE)["same"] == making.stored(W)


def test_a_kernel_that_cannot_copy(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two file systems, for example, the bytes go through memory."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    write(tmp_path, shard(base))
    assert making.load(tmp_path / FILE)["same"] == making.stored(W)


def test_a_base_that_became_shorter(tmp_path: Path, base: Path) -> None:
    """Nothing of the file stays."""
    one = shard(base)
    os.truncate(base, base.stat().st_size - 8)
    with pytest.raises(SetupError, match="became shorter"):
        write(tmp_path, one)
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


def test_layers_of_peft_do_not_mix_with_other_updates(tmp_path: Path, base: Path) -> None:
    """PEFT's layer would merge into the base, and the other update would be lost."""
    one = shard(base, Dense(lambda: W), PeftLayer("moved", ()))
    with pytest.raises(SetupError, match="changed in more than one way"):
        write(tmp_path, one)


@pytest.mark.parametrize("text", ["", "[]", '{"x": {"unknown": 1}}'])
def test_tallies_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """They count as missing, so that the file is made again."""
    (tmp_path / f"{FILE}.facts").write_text(text)
    assert read_tallies(tmp_path, FILE) is None
