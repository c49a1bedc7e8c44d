"""Two trainings cannot write into one folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.training.loop.one_at_a_time import alone_in

OTHER = """
import sys
from pathlib import Path
from lorabay.training.loop.one_at_a_time import alone_in
with alone_in(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    """At once and in one line; a killed one holds nothing."""
    folder = tmp_path / "out" / "training"
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdin is not None
    with other, other.stdout, other.stdin:
        assert other.stdout.readline() == b"in\n"
        with (
            pytest.raises(SetupError, match=rf"another training writes into {tmp_path / 'out'}"),
            alone_in(folder),
        ):
            raise AssertionError
        other.kill()
        other.wait()

    with alone_in(folder):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "out").write_text("", encoding="utf-8")
    with (
        pytest.raises(SetupError, match=r"out/training cannot be written"),
        alone_in(tmp_path / "out" / "training"),
    ):
        raise AssertionError
