"""The report of a search: a table, JSON, a page that stands alone."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from lorabay.search.finalist import AS_IT_IS
from lorabay.search.finals import Contestant, run_final
from lorabay.search.report import Report
from lorabay.search.trials import Study
from tests.search.made import MadeFinals, MadeTrainer, made_space


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = Study(tmp_path, made_space())
    study.run(MadeTrainer())
    return study


@pytest.fixture
def report(study: Study, tmp_path: Path) -> Report:
    contestants = {AS_IT_IS: Contestant(None, {}, study.space.recipe_for({}))}
    for trial in study.best(2):
        recipe = study.space.recipe_for(trial.choice)
        contestants[f"trial-{trial.number}"] = Contestant(trial.number, trial.choice, recipe)
    final = run_final(contestants, (6, 7, 8), tmp_path / "finals", MadeFinals())
    return Report(tuple(study.trials()), final)


def test_the_table_has_every_trial_and_finalist(report: Report) -> None:
    """The best trial first, and what came out as sentences."""
    paper = io.StringIO()
    Console(file=paper, width=160).print(report.table())
    shown = paper.getvalue()
    best = min(one.loss for one in report.trials if one.state == "complete")
    assert f"{best:.4f}" in shown.split("trial")[1].split("│")[6] or f"{best:.4f}" in shown
    for word in ("learning_rate", "target_modules", "pruned", "recipe", "another seed makes"):
        assert word in shown


def test_the_files_are_for_programs_and_browsers(
    report: Report, study: Study, tmp_path: Path
) -> None:
    """The page has its plots in it and loads nothing."""
    report.write(tmp_path / "report", study.load())
    found = json.loads((tmp_path / "report" / "search.json").read_bytes())
    assert len(found["trials"]) == 12
    assert found["final"]["finalists"][0]["name"] == AS_IT_IS

    page = (tmp_path / "report" / "search.html").read_text(encoding="utf-8")
    assert page.count("<img") == 4
    assert not re.search(r'<script|<link|src="(?!data:)', page)
    assert len(list((tmp_path / "report").glob("*.png"))) == 4
