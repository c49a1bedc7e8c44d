"""Which adapters of a folder are pushed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.sources.pushed import adapters_in
from tests.sources.made import CONFIG, WEIGHTS, write


def test_an_adapter_or_a_folder_of_adapters(tmp_path: Path) -> None:
    """The weights go first, and the config last."""
    write(tmp_path / "finance", "1")
    write(tmp_path / "ads", "1")
    (tmp_path / "finance" / "lorabay.toml").write_text("")
    (tmp_path / "finance" / "optimizer.pt").write_text("")
    (finance,) = adapters_in(tmp_path / "finance")
    assert finance.files == (WEIGHTS, "lorabay.toml", CONFIG)
    assert [one.name for one in adapters_in(tmp_path)] == ["ads", "finance"]


def test_what_cannot_be_pushed(tmp_path: Path) -> None:
    """The sentence names the folder and what is wrong."""
    with pytest.raises(SetupError, match="holds no adapter"):
        adapters_in(tmp_path)
    with pytest.raises(SetupError, match="cannot be pushed: No such file"):
        adapters_in(tmp_path / "nowhere")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / CONFIG).write_text("{}")
    with pytest.raises(SetupError, match=f"there is no {WEIGHTS}"):
        adapters_in(tmp_path)
    write(tmp_path / "bad name", "1")
    with pytest.raises(SetupError, match="must start with an ASCII letter"):
        adapters_in(tmp_path / "bad name")


def test_a_file_that_has_vanished(tmp_path: Path) -> None:
    """Bug: it was a bug of lorabay's."""
    (finance,) = adapters_in(write(tmp_path / "finance", "1"))
    assert finance.size > 0
    (tmp_path / "finance" / WEIGHTS).unlink()
    with pytest.raises(SetupError, match=f"{WEIGHTS} cannot be read: No such file"):
        _ = finance.size
