"""What a reason advises can be typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lorabay.cli import run
from lorabay.formats.advice import CONVERT, MERGE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("advice", [MERGE, CONVERT])
def test_its_command_is_one_of_ours(
    advice: str, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the adapter of that name is missing: that is a failure, and no usage error."""
    monkeypatch.chdir(tmp_path)
    command = re.search("`lorabay (.+)`", advice)
    assert command is not None
    assert run([*command[1].split(), "--base", str(llama)]) == 1
