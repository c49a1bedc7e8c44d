"""A search with real trainings of a tiny base: from the recipe to the baseline, and over a kill."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from filelock import FileLock

from lorabay.errors import SetupError
from lorabay.judging import libraries
from lorabay.judging.blind_set import read_names
from lorabay.search.asking_people import JudgeWishes, Waiting
from lorabay.search.search import Found, search, told
from lorabay.search.trials import Trial
from lorabay.training.recipe import read_recipe
from tests.judging.answered import judge_all

SPACE = """
[search]
rank = [2, 4]
learning_rate = [1e-3, 5e-2]
trials = 4
finalists = 1
seeds = 2
looks = 1
dev = 0.25
"""


@pytest.fixture
def folder(adapter_dir: Path) -> Path:
    """An adapter's folder whose recipe has a space, with two epochs."""
    recipe = adapter_dir / "recipe.toml"
    text = recipe.read_text(encoding="utf-8").replace("epochs = 10", "epochs = 2")
    recipe.write_text(text + SPACE, encoding="utf-8")
    return adapter_dir


def test_a_search_writes_its_winner(folder: Path, tiny_base: Path) -> None:
    """Trials, a final over seeds, a report, and a baseline that a recipe can inherit."""
    lines: list[str] = []
    out = folder.parent / "out"
    found = _search(folder, tiny_base, out, lines.append)
    assert len(found.report.trials) == 4
    assert found.report.final.finalists[0].name == "recipe"
    assert [run.seed for run in found.report.final.finalists[1].runs] == [4, 5]
    assert len(lines) == 4 + 4

    assert found.baseline == folder.parent / "baseline.toml"
    tables = tomllib.loads(found.baseline.read_text(encoding="utf-8"))
    winner = found.report.final.winner
    assert tables["lora"]["rank"] == winner.choice.get("rank", 4)

    other = folder.parent / "other"
    other.mkdir()
    (other / "recipe.toml").write_text('inherit = "../baseline.toml"\n')
    assert read_recipe(other).shape.rank == tables["lora"]["rank"]
    assert (out / "report" / "search.html").exists()
    assert (out / "finals" / "recipe-seed-4" / "adapter_model.safetensors").exists()


@pytest.mark.skipif(
    not all(map(find_spec, libraries.LIBRARIES)), reason="votes are counted by the extra forge"
)
def test_people_choose_the_winner(folder: Path, tiny_base: Path) -> None:
    """The search stops at a blind set, and goes on from the votes to the baseline."""
    out = folder.parent / "out"
    judge = JudgeWishes(("anna",), max_tokens=8)
    waiting = search(folder, tiny_base, out, judge=judge)
    assert isinstance(waiting, Waiting)
    assert not (folder.parent / "baseline.toml").exists()

    trial = next(name for name in read_names(out / "blind").values() if name != "recipe")
    judge_all(out / "blind", {"anna": lambda *both: trial})
    found = search(folder, tiny_base, out, judge=judge)
    assert isinstance(found, Found)
    assert found.report.final.winner.name == trial
    assert found.baseline is not None
    assert "# people prefer: " in found.baseline.read_text(encoding="utf-8")
    assert "people prefer" in (out / "report" / "search.html").read_text(encoding="utf-8")


def _search(
    folder: Path, base: Path, out: Path, tell: Callable[[str], None] | None = None
) -> Found:
    found = search(folder, base, out, tell=tell or (lambda line: None))
    assert isinstance(found, Found)
    return found


def test_a_killed_search_comes_to_the_same_table(folder: Path, tiny_base: Path) -> None:
    """And a finished one is only read again."""

    def die(line: str) -> None:
        if line.startswith("trial 2"):
            raise KeyboardInterrupt

    whole = _search(folder, tiny_base, folder.parent / "whole")
    killed = folder.parent / "killed"
    with pytest.raises(KeyboardInterrupt):
        _search(folder, tiny_base, killed, die)
    resumed = _search(folder, tiny_base, killed)
    assert resumed.report.as_dict() == whole.report.as_dict()

    lines: list[str] = []
    again = _search(folder, tiny_base, killed, lines.append)
    assert again.report.as_dict() == whole.report.as_dict()
    assert [line for line in lines if line.startswith("trial ")] == []


def test_another_baseline_is_not_overwritten(folder: Path, tiny_base: Path) -> None:
    """The winner is in the folder of the search alone."""
    theirs = folder.parent / "baseline.toml"
    theirs.write_text("# ours, by hand\n")
    found = _search(folder, tiny_base, folder.parent / "out")
    assert found.baseline is None
    assert theirs.read_text() == "# ours, by hand\n"
    assert (folder.parent / "out" / "baseline.toml").exists()


def test_what_cannot_be_searched_is_one_line(folder: Path, tiny_base: Path, tmp_path: Path) -> None:
    """A folder of something else, another recipe, no module of the base."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(SetupError, match="is not empty"):
        search(folder, tiny_base, tmp_path / "full")

    nowhere = tmp_path / "none" / "baseline.toml"
    with pytest.raises(SetupError, match="there is no folder"):
        search(folder, tiny_base, tmp_path / "out", baseline_file=nowhere)
    with pytest.raises(SetupError, match="cannot write into"):
        search(folder, tiny_base, tmp_path / "full" / "mine.txt" / "out")

    recipe = folder / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text.replace('"v_proj"', '"no_proj"'), encoding="utf-8")
    with pytest.raises(SetupError, match=r"no trial could be trained: .*no_proj"):
        search(folder, tiny_base, tmp_path / "out")

    recipe.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="a search of another recipe"):
        search(folder, tiny_base, tmp_path / "out")


def test_a_search_on_another_base_is_refused(folder: Path, tiny_base: Path, tmp_path: Path) -> None:
    """And so is one of an older version, which does not say on which base it was."""
    out = folder.parent / "out"

    def die(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(folder, tiny_base, out, tell=die)

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    with pytest.raises(SetupError, match=r"its base were changed \(base\)"):
        search(folder, base, out)

    origin = json.loads((out / "origin.json").read_text())
    del origin["base"]
    (out / "origin.json").write_text(json.dumps(origin))
    with pytest.raises(SetupError, match="does not say which base"):
        search(folder, tiny_base, out)
    (out / "origin.json").write_text("[]")
    with pytest.raises(SetupError, match="is not of a search"):
        search(folder, tiny_base, out)


def test_two_searches_in_one_folder_are_refused(folder: Path, tiny_base: Path) -> None:
    """The second one says so at once."""
    out = folder.parent / "out"
    out.mkdir()
    with (
        FileLock(out / ".search.lock"),
        pytest.raises(SetupError, match="another search is running"),
    ):
        search(folder, tiny_base, out)


def test_a_trial_is_told_in_a_line() -> None:
    """Its choice, its loss, and how it ended."""
    trial = Trial(3, {"rank": 8, "learning_rate": 0.0012345}, "pruned", 1.5, 2)
    assert told(trial) == "trial 3: rank 8, learning_rate 0.00123, loss on dev 1.5000, pruned"
