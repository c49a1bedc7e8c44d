"""`lorabay base`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.cli import run


def test_the_folder_is_the_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Scripts read it there; preparing itself is tested with the base."""
    monkeypatch.setattr("lorabay.base.default.prepare", lambda cache: tmp_path / "smollm2")
    assert run(["base", "prepare"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'smollm2'}\n"
