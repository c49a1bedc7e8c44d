"""`lorabay judge` as commands: their output, their exit codes, the one line of a failure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.cli import run
from lorabay.judging import libraries
from tests.fixtures.databases import free_port
from tests.judging.answered import NAMES, blind_folder, judge_all, write_answers


def test_a_set_is_made_judged_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From two files to a report, as a table, as JSON and as a page."""
    files = [str(write_answers(tmp_path / f"{name}.jsonl", name, 12)) for name in NAMES[:2]]
    folder = tmp_path / "blind"
    assert run(["judge", "make", *files, "-o", str(folder), "--judge", "anna", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == 12

    judge_all(folder, {"anna": lambda *both: "shop-r16"})
    page = tmp_path / "report.html"
    assert run(["judge", "report", str(folder), "--html", str(page)]) == 0
    assert "shop-r16 is better than shop-r64" in capsys.readouterr().out
    assert "shop-r16 is better than shop-r64" in page.read_text()

    assert run(["judge", "report", str(folder), "--html", str(page)]) == 1
    assert "is there already" in capsys.readouterr().err
    nowhere = str(tmp_path / "nowhere" / "report.html")
    assert run(["judge", "report", str(folder), "--html", nowhere]) == 1
    assert "cannot write" in capsys.readouterr().err

    kept = (folder / "names.json").rename(tmp_path / "kept.json")
    assert run(["judge", "report", str(folder), "--names", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["duels"][0]["winner"] == "shop-r16"


def test_the_table_of_a_set_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pairs, judges, and the command that shows them."""
    files = [str(write_answers(tmp_path / f"{name}.jsonl", name, 3)) for name in NAMES[:2]]
    assert run(["judge", "make", *files, "-o", str(tmp_path / "blind")]) == 0
    out = capsys.readouterr().out
    assert "3 pairs for each of 1 judges: judge" in out
    assert "lorabay judge serve" in out


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["one.jsonl"], 2, "two sets of answers or more"),
        (["one.jsonl", "one.jsonl"], 2, "name them as NAME=FILE"),
        (["one.jsonl", "nowhere.jsonl"], 1, "cannot read the answers in nowhere.jsonl"),
        (["one.jsonl", "other=one.jsonl"], 1, "no two sets answer the same question"),
        (["one.jsonl", "two.jsonl", "--judge", "a", "--judge", "a"], 2, "a name of their own"),
        (["--ask", "finance", "--ask", "base"], 2, "--ask needs questions"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    arguments: list[str],
    code: int,
    problem: str,
    the_error: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2 for wrong usage, 1 for what the answers do not allow."""
    monkeypatch.chdir(tmp_path)
    write_answers(tmp_path / "one.jsonl", NAMES[0], 3)
    write_answers(tmp_path / "two.jsonl", NAMES[1], 3)
    assert run(["judge", "make", *arguments, "-o", "blind"]) == code
    assert problem in the_error()
    assert not (tmp_path / "blind").exists()


def test_a_server_that_does_not_answer_is_one_line(
    tmp_path: Path, the_error: Callable[[], str]
) -> None:
    """The questions are those of the file that is there."""
    one = str(write_answers(tmp_path / "one.jsonl", NAMES[0], 3))
    url = f"http://127.0.0.1:{free_port()}"
    asked = ["judge", "make", one, "--ask", "finance", "--url", url, "-o", str(tmp_path / "blind")]
    assert run(asked) == 1
    assert "cannot ask 'finance'" in the_error()


def test_nothing_to_serve_or_report_is_1(tmp_path: Path, the_error: Callable[[], str]) -> None:
    """One line each."""
    assert run(["judge", "serve", str(tmp_path)]) == 1
    assert "is not a blind set" in the_error()


def test_without_the_extra_a_report_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """Making and serving need nothing of it."""
    monkeypatch.setattr(libraries, "LIBRARIES", ("no_such_library",))
    assert run(["judge", "report", str(blind_folder(tmp_path / "blind", 2))]) == 1
    assert "pip install 'lorabay[forge]'" in the_error()
