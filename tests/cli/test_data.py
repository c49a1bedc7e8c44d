"""`lorabay data prepare` as a command: its output, its exit codes, the one line of a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.data import libraries
from tests.data.planted import Writer


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Returns a file of sixty rows, of which two are the same."""
    writer = Writer(1)
    rows = [writer.row() for _ in range(59)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in [*rows, rows[0]]))
    return path


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_report_is_a_table_or_json(
    tmp_path: Path, source: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same as in the folder."""
    for library in libraries.LIBRARIES:
        pytest.importorskip(library)
    shares = ["--dev", "0.1", "--test", "0.2"]
    flags = ["--json"] if form == "json" else []
    code = run(["data", "prepare", str(source), "-o", str(tmp_path / "out"), *shares, *flags])
    out = capsys.readouterr().out
    assert code == 0
    if form == "table":
        assert "exact_duplicate" in out
        assert "rows.jsonl" in out
    else:
        assert json.loads(out) == json.loads((tmp_path / "out/report/report.json").read_text())


@pytest.mark.parametrize(
    ("flags", "code", "problem"),
    [
        (["--fields", "x=y"], 2, "--fields takes PART=FIELD"),
        (["--system", "fold"], 2, "choose one of keep, move, drop"),
        (["--language", "english"], 2, "two letters a language"),
        (["--fields", "instruction=ask,output=reply"], 1, "no field 'ask'"),
        (["--dev", "0.0001"], 1, "dev would be empty"),
        (["--boilerplate", "absent"], 1, "cannot read the patterns"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    source: Path,
    flags: list[str],
    code: int,
    problem: str,
    the_error: Callable[[], str],
) -> None:
    """Exit code 2 for wrong usage, 1 for what the data do not allow."""
    for library in libraries.LIBRARIES:
        pytest.importorskip(library)
    assert run(["data", "prepare", str(source), "-o", str(tmp_path / "out"), *flags]) == code
    assert problem in the_error()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_without_the_extra_the_line_says_what_to_install(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    the_error: Callable[[], str],
) -> None:
    """Before anything is read."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("no_such_library",))
    assert run(["data", "prepare", str(source), "-o", str(tmp_path / "out")]) == 1
    assert "pip install 'lorabay[forge]'" in the_error()
