"""A search from its recipe to its baseline.

    OUT/trials.journal   every trial, as Optuna keeps it
    OUT/data/            what was split into train and dev, if the recipe names no dev
    OUT/finals/          the adapters of the final, one folder a training
    OUT/answers/, blind/ what people judge, if they are to choose
    OUT/baseline.toml    the winner, for other recipes to inherit
    OUT/report/          the table, JSON, plots and a page

A search that was killed goes on by the same command. Two searches in one folder do not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.search.asking_people import Waiting, judged
from lorabay.search.baseline import BASELINE_FILE, baseline
from lorabay.search.final_answers import GreedyAnswers
from lorabay.search.finalist import AS_IT_IS
from lorabay.search.finals import Contestant, Final, FinalTrainer, run_final
from lorabay.search.parts import parts_of
from lorabay.search.report import Report
from lorabay.search.space import Space, space_of
from lorabay.search.training_final import TrainingFinals
from lorabay.search.training_trial import TrainingTrials
from lorabay.search.trials import Study
from lorabay.search.workers import run_workers
from lorabay.training.loop.checkpoint import digest_of_base
from lorabay.training.recipe import RECIPE_FILE, read_recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rich.console import Group

    from lorabay.search.asking_people import JudgeWishes
    from lorabay.search.trials import Trial
    from lorabay.training.recipe import Recipe

_ORIGIN = "origin.json"


@dataclass(frozen=True, slots=True)
class Found:
    """What a search came to, and where it is."""

    report: Report
    folder: Path
    baseline: Path | None
    """Where the winner went for others to inherit; None if something else is there."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as values that JSON can hold."""
        where = None if self.baseline is None else str(self.baseline)
        return {**self.report.as_dict(), "folder": str(self.folder), "baseline": where}

    def table(self) -> Group:
        """Return it for a terminal."""
        from rich.console import Group
        from rich.text import Text

        own = self.folder / BASELINE_FILE
        line = (
            f"another baseline is there already; this one is {own}"
            if self.baseline is None
            else f"{self.baseline} is the winner, for other recipes to inherit"
        )
        page = f"plots and all trials: {self.folder / 'report' / 'search.html'}"
        return Group(self.report.table(), Text(line), Text(page))


def search(
    adapter_dir: Path,
    base: Path,
    output: Path,
    *,
    baseline_file: Path | None = None,
    workers: int = 1,
    judge: JudgeWishes | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Found | Waiting:
    """Search a recipe's space; choose by dev, or by people; report on test, write the winner.

    `baseline_file` is where the winner goes, beside `output`'s own copy; by default next to the
    adapter's folder. With `judge`, people choose among the finalists, and the search ends with what
    it waits for until they have. Goes on with a search of the same recipe in `output`. Raises
    SetupError for a recipe without a space, data that cannot be split, a folder of another search,
    and for a space of which no trial can be trained.
    """
    recipe = read_recipe(adapter_dir)
    space = space_of(recipe, str(adapter_dir / RECIPE_FILE))
    origin = _origin(adapter_dir, recipe, base)
    target = baseline_file or adapter_dir.resolve().parent / BASELINE_FILE
    if not target.parent.is_dir():
        raise SetupError(f"there is no folder {target.parent} for the baseline")

    with _alone_in(output):
        _check_origin(output, origin)
        parts = parts_of(adapter_dir, recipe, space.table.dev, output / "data")
        study = Study(output, space)
        study.revive()

        trainer = TrainingTrials(base, parts, output / "trials", space.table.looks)
        run_workers(study, trainer, workers, lambda trial: tell(told(trial)))
        final = _final(study, recipe, output, TrainingFinals(base, parts), tell)
        if judge is not None:
            answer = GreedyAnswers(base, judge.max_tokens)
            outcome = judged(final, output, parts.dev, judge, answer, tell)
            if isinstance(outcome, Waiting):
                return outcome
            final = outcome

        report = Report(tuple(study.trials()), final)
        report.write(output / "report", study.load())
        return Found(report, output, _write_baseline(space, final, output, target))


def told(trial: Trial) -> str:
    """Return a trial as a line."""
    loss = "" if trial.loss is None else f", loss on dev {trial.loss:.4f}"
    choice = ", ".join(f"{name} {_short(value)}" for name, value in trial.choice.items())
    problem = f": {trial.problem}" if trial.problem else ""
    return f"trial {trial.number}: {choice}{loss}, {trial.state}{problem}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _final(
    study: Study,
    recipe: Recipe,
    output: Path,
    trainer: FinalTrainer,
    tell: Callable[[str], None],
) -> Final:
    table = study.space.table
    best = study.best(table.finalists)
    if not best:
        problems = {one.problem for one in study.trials() if one.problem}
        raise SetupError(
            f"no trial could be trained: {'; '.join(sorted(problems)) or 'all pruned'}"
        )

    plain = study.space.recipe_for({})
    contestants: dict[str, Contestant] = {AS_IT_IS: Contestant(None, {}, plain)}
    for trial in best:
        name = f"trial-{trial.number}"
        recipe_of_trial = study.space.recipe_for(trial.choice)
        contestants[name] = Contestant(trial.number, trial.choice, recipe_of_trial)

    # Seeds that no trial has seen: the best trial was chosen with the recipe's own.
    first = recipe.training.seed + 1
    seeds = range(first, first + table.seeds)
    return run_final(contestants, seeds, output / "finals", trainer, tell)


def _write_baseline(space: Space, final: Final, output: Path, target: Path) -> Path | None:
    """Write the winner into the folder and to `target`, where nothing else is overwritten."""
    winner = final.winner
    remarks = [
        "Found by `lorabay search`; other recipes take it over with",
        f'#   inherit = "../{target.name}"',
        f"loss on dev {winner.dev_loss:.4f}, a seed makes {final.spread:.4f}",
        *final.verdict.remarks(winner),
    ]
    text = baseline(space.recipe_for(winner.choice), [line.removeprefix("#") for line in remarks])
    durable.write(output / BASELINE_FILE, text)

    try:
        if target.exists() and target.read_text(encoding="utf-8") != text:
            return None
        durable.write(target, text)
    except OSError as error:
        raise SetupError(f"cannot write {target}: {error.strerror or error}") from error
    return target


def _alone_in(output: Path) -> Any:
    """Return a lock on a folder, taken; raises SetupError if another search is in it."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        return FileLock(output / ".search.lock").acquire(blocking=False)
    except Timeout as error:
        raise SetupError(f"another search is running in {output}") from error
    except OSError as error:
        raise SetupError(f"cannot write into {output}: {error.strerror or error}") from error


def _origin(adapter_dir: Path, recipe: Recipe, base: Path) -> dict[str, Any]:
    """Return what a search is about as values for JSON: its recipe, and digests of data and base.

    Raises SetupError for what cannot be read.
    """
    digests = {}
    for name in filter(None, (recipe.data.train, recipe.data.dev, recipe.data.heldout)):
        try:
            digests[name] = hashlib.sha256((adapter_dir / name).read_bytes()).hexdigest()
        except OSError as error:
            path = adapter_dir / name
            raise SetupError(f"cannot read {path}: {error.strerror or error}") from error

    return {
        "recipe": recipe.model_dump(mode="json"),
        "data": digests,
        "base": digest_of_base(base),
    }


def _check_origin(output: Path, origin: Mapping[str, Any]) -> None:
    """Raise SetupError for a folder with something else than this very search."""
    path = output / _ORIGIN
    if path.exists():
        before = _read_origin(path)
        if "base" not in before:
            raise SetupError(
                f"{path} does not say which base was searched on: an older version wrote it; "
                "choose another folder"
            )
        changed = [name for name in origin if before.get(name) != origin[name]]
        if changed:
            raise SetupError(
                f"{output} has a search of another recipe, or of this one before it, its data or "
                f"its base were changed ({' and '.join(changed)}); choose another folder"
            )
        return
    if [one for one in output.iterdir() if not one.name.startswith(".")]:
        raise SetupError(f"{output} is not empty, and has no search in it; choose another folder")
    durable.write(path, json.dumps(origin, indent=2, sort_keys=True) + "\n")


def _read_origin(path: Path) -> dict[str, Any]:
    """Return what a search was about; raises SetupError for a file that does not say it."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SetupError(f"{path} cannot be read: {error}") from error
    if not isinstance(before, dict):
        raise SetupError(f"{path} is not of a search; choose another folder")
    return before
