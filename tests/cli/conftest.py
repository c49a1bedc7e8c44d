"""The command line, run in this process, and the one line that a failure leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import making


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a tiny base."""
    return making.make_base(tmp_path / "tiny")


@pytest.fixture
def the_error(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Returns the one line of a failure; there is no traceback, and nothing on stdout."""

    def line() -> str:
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        [line] = [line for line in err.splitlines() if line.startswith("error: ")]
        assert err.endswith(line + "\n")
        return line.removeprefix("error: ")

    return line
