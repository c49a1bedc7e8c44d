"""`lorabay database upgrade`: which database it means, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


def test_it_makes_the_default_one_in_the_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says once more that there is nothing to do."""
    assert run(["database", "upgrade", "--store", str(tmp_path / "store")]) == 0
    assert (tmp_path / "store" / "accounts.db").is_file()
    assert "newest schema: 0001" in capsys.readouterr().out
    assert run(["database", "upgrade", "--store", str(tmp_path / "store")]) == 0
    assert "it was up to date" in capsys.readouterr().out


def test_it_takes_the_one_that_the_environment_names(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a server would."""
    monkeypatch.setenv("LORABAY_DATABASE", database_url)
    assert run(["database", "upgrade"]) == 0
    assert "newest schema: 0001" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("mysql://ada:s3cret@db/x", 2, "databases of the kind 'mysql' are not known"),
        ("nonsense", 2, "the database URL cannot be read"),
        ("sqlite:////proc/nowhere/accounts.db", 1, "cannot be made"),
        ("postgresql://ada:s3cret@127.0.0.1:1/x", 1, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    url: str, code: int, words: str, the_error: Callable[[], str]
) -> None:
    """Without the password."""
    assert run(["database", "upgrade", "--database", url]) == code
    line = the_error()
    assert words in line
    assert "s3cret" not in line
