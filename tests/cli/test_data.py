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
        (["--deidentify", "stars"], 2, "surrogates or tags"),
        (["--deidentify", "surrogates"], 2, "surrogates need a key"),
        (["--deidentify", "tags", "--keep", "COLOUR"], 2, "the kinds are"),
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
    assert run(["data", "prepare", str(source), "-o", str(tmp_path / "out"), *flags]) == code
    assert problem in the_error()
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("flag", ["--seed", "--max-line-mib"])
def test_numbers_have_a_limit(
    tmp_path: Path, source: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond which they fit nothing."""
    flags = [flag, str(1 << 64)]
    assert run(["data", "prepare", str(source), "-o", str(tmp_path / "out"), *flags]) == 2
    assert f"'{flag}'" in capsys.readouterr().err


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


@pytest.mark.parametrize("form", ["table", "json"])
def test_personal_data_is_replaced_by_a_command_of_its_own(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a key of the environment; the report shows how many, and no original."""
    source = tmp_path / "calls.jsonl"
    source.write_text('{"instruction": "Call 138 1234 5678", "output": "We did."}\n')
    monkeypatch.setenv("DEIDENTIFY_KEY", "0123456789abcdef")

    flags = ["--json"] if form == "json" else []
    assert run(["data", "deidentify", str(source), "-o", str(tmp_path / "out"), *flags]) == 0
    out = capsys.readouterr().out
    assert "PHONE" in out
    assert "1234 5678" not in out + (tmp_path / "out/calls.jsonl").read_text()
    if form == "json":
        assert json.loads(out)["found"] == {"PHONE": {"zh": 0, "en": 1}}

    assert run(["data", "deidentify", str(source), "--report"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.jsonl", "out"]


def test_personal_data_goes_before_duplicates_are_sought(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that differ in a phone only then meet."""
    rows = [f"Call me on 138123456{number}, please" for number in (78, 87)]
    lines = (json.dumps({"instruction": row, "output": "We will do so."}) for row in rows)
    source.write_text(source.read_text() + "\n".join(lines))
    flags = ["--deidentify", "tags", "--keep", "NAME", "--json", "--dev", "0", "--test", "0"]
    assert run(["data", "prepare", str(source), "-o", str(tmp_path / "out"), *flags]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["personal_data"] == {"PHONE": {"zh": 0, "en": 2}}
    assert report["removed"] == {"exact_duplicate": 2}


@pytest.mark.parametrize("flags", [[], ["-o", "out", "--report"]])
def test_a_report_or_a_folder_is_asked_for(
    source: Path, flags: list[str], the_error: Callable[[], str]
) -> None:
    """One of both."""
    assert run(["data", "deidentify", str(source), *flags]) == 2
    assert "-o" in the_error()
