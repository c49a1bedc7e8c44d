"""A disk that is full or read-only is one line, which says what the same command does then."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lorabay.errors import SetupError
from lorabay.training.train import train_folder
from lorabay.training.writing import writing
from tests.failing_disk import FailingDisk, files_limited_to


def test_what_the_disk_says_is_told(tmp_path: Path) -> None:
    """With the place, also where it is safetensors that writes."""
    with (
        pytest.raises(SetupError, match=r"out cannot be written: No space left.* checkpoint"),
        writing(tmp_path / "out"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(SetupError, match="out cannot be written"),
        files_limited_to(10),
        writing(tmp_path / "out"),
    ):
        save_file({"a": torch.ones(1000)}, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    "place", ["adapter_model", "adapter_config", "loss.html", "README.md", "metrics.jsonl"]
)
def test_a_training_goes_on_when_there_is_room(
    adapter_dir: Path, tiny_base: Path, tmp_path: Path, place: str
) -> None:
    """Whatever could not be written at its end: the last checkpoint is still there."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace("[training]", "[training]\ncheckpoint_every = 15"), "utf-8")
    out = tmp_path / "out"
    disk = FailingDisk(out)
    with disk.attached():
        disk.fail(errno.ENOSPC, where=place)
        if place == "metrics.jsonl":
            disk.fail(errno.ENOSPC, where=place, first=25)
        with pytest.raises(SetupError, match=r"cannot be written: No space left .* checkpoint"):
            train_folder(adapter_dir, tiny_base, output=out)
        disk.heal()
    assert train_folder(adapter_dir, tiny_base, output=out).resumed == 15
    assert not (out / "training" / "checkpoint.pt").exists()
