"""Tasks of a weights file: together they write every byte, however the work is cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from lorabay.algebra.updates import Dense, PeftLayer, Update
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.merge import tasks
from lorabay.merge.blocks import Workspace
from lorabay.merge.tasks import CopyBytes, MergeRows, Task, TaskCutter
from lorabay.merge.tensors import Shard, Target
from tests import making

SHAPE = (6, 4)
W = np.arange(24, dtype=np.float32).reshape(SHAPE)


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
    targets = (Target("same", "F32", SHAPE, same), Target("moved", "F32", SHAPE, moved, updates))
    return Shard("out.safetensors", targets)


def write(path: Path, one: Shard) -> list[Task]:
    """Run the tasks of a shard from the last to the first, and return them."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(file, one.header, 0)
        with TaskCutter(file, np.float32) as cutter:
            cut = list(cutter.tasks(one))
            for task in reversed(cut):
                task.run(Workspace(np.float32))
    finally:
        os.close(file)
    return cut


@pytest.mark.parametrize("numbers", [1, 9, 1 << 21])
def test_tasks_of_any_size(
    tmp_path: Path, base: Path, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file and the counts do not depend on how the work is cut, or on the order of tasks."""
    monkeypatch.setattr(tasks, "TASK_NUMBERS", numbers)
    monkeypatch.setattr(tasks, "COPIED_BYTES", numbers)
    one = shard(base, Dense(lambda: W))
    cut = write(tmp_path / "out", one)

    assert making.load(tmp_path / "out")["moved"] == making.stored(2 * W)
    assert making.load(tmp_path / "out")["same"] == making.stored(W)
    assert sum(task.size for task in cut) == one.size


def test_only_tensors_that_change_are_computed(tmp_path: Path, base: Path) -> None:
    """The bytes of the others are copied."""
    kinds = {
        task.tensor: type(task) for task in write(tmp_path / "out", shard(base, Dense(lambda: W)))
    }
    assert kinds == {"same": CopyBytes, "moved": MergeRows}


def test_factors_are_loaded_one_tensor_after_the_other(base: Path) -> None:
    """Those of a tensor are loaded when its first task is asked for, and not before."""
    loads: list[str] = []

    def load() -> np.ndarray:
        loads.append("moved")
        return W

    with TaskCutter(-1, np.float32) as cutter:
        cut = cutter.tasks(shard(base, Dense(load)))
        assert next(cut).tensor == "same"
        assert loads == []
        assert next(cut).tensor == "moved"
        assert loads


def test_a_kernel_that_cannot_copy(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two file systems, for example, the bytes go through memory."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    write(tmp_path / "out", shard(base))
    assert making.load(tmp_path / "out")["same"] == making.stored(W)


def test_a_copy_that_fails(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other error of the kernel is raised as it is."""

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "copy_file_range", fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "out", shard(base))


def test_a_base_that_became_shorter(tmp_path: Path, base: Path) -> None:
    """A copy says so instead of ending early."""
    one = shard(base)
    os.truncate(base, base.stat().st_size - 8)
    with pytest.raises(SetupError, match="became shorter"):
        write(tmp_path / "out", one)


def test_layers_of_peft_do_not_mix_with_other_updates(tmp_path: Path, base: Path) -> None:
    """PEFT's layer would merge into the base, and the other update would be lost."""
    with pytest.raises(SetupError, match="changed in more than one way"):
        write(tmp_path / "out", shard(base, Dense(lambda: W), PeftLayer("moved", ())))
