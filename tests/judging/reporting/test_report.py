"""The report of a judged set: values, JSON and the table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from lorabay.errors import SetupError
from lorabay.judging.reporting.report import report_of
from tests.judging.answered import NAMES, blind_folder, judge_all


def shown(folder: Path) -> str:
    console = Console(width=160, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(report_of(folder).table())
    return captured.get()


def test_two_sets_have_a_duel_and_scores(tmp_path: Path) -> None:
    """Bradley-Terry is for more than two."""
    folder = blind_folder(tmp_path / "blind", 20)
    judge_all(folder, {"anna": lambda *both: "shop-r64", "ben": lambda *both: "shop-r64"})
    report = report_of(folder)

    assert report.strengths == ()
    assert [duel.winner for duel in report.duels] == ["shop-r64"]
    assert report.scores["shop-r64"] == pytest.approx(40.5 / 41, abs=1e-3)
    assert report.agreed.startswith("alpha 1.00") or "the same" in report.agreed
    assert report.warnings == ()
    table = shown(folder)
    assert "shop-r64 is better than shop-r16" in table
    assert "Bradley-Terry" not in table


def test_three_sets_have_strengths_as_well(tmp_path: Path) -> None:
    """And three duels."""
    folder = blind_folder(tmp_path / "blind", 10, names=NAMES)
    judge_all(folder, {"anna": lambda *both: max(both), "ben": lambda left, right: left})
    report = report_of(folder)

    assert len(report.duels) == 3
    assert [one.name for one in report.strengths] == ["shop-r64", "shop-r16", "plain-7b"]
    assert report.left.part == report.left.total * 0.75
    assert "left" in " ".join(report.warnings)
    assert "Bradley-Terry" in shown(folder)


def test_json_holds_all_of_it(tmp_path: Path) -> None:
    """Programs get what people read, too."""
    folder = blind_folder(tmp_path / "blind", 6, names=NAMES)
    judge_all(folder, {"anna": lambda *both: max(both)})
    values = json.loads(json.dumps(report_of(folder).as_dict()))
    assert values["done"] == {"anna": 18}
    assert values["duels"][0]["winner"] in (*NAMES, None)
    assert values["scores"].keys() == set(NAMES)
    assert len(values["findings"]) == 3
    assert values["warnings"][0] == "ben has voted on 0 of 18 pairs"


def test_a_set_that_nobody_judged_has_no_report(tmp_path: Path) -> None:
    """The line says how to get votes."""
    folder = blind_folder(tmp_path / "blind", 2)
    with pytest.raises(SetupError, match=r"nobody has judged .*: lorabay judge serve"):
        report_of(folder)
