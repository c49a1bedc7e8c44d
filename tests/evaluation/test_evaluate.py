"""Evaluation is a full matrix of models by sets, and its numbers are those of the models."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from lorabay.errors import SetupError
from lorabay.evaluation.evaluate import Settings, evaluate
from lorabay.evaluation.general import GENERAL
from lorabay.training.train import train_folder

LITTLE = Settings(limit=2, max_tokens=8, draws=100)
CHECKS = '[[check]]\nname = "known"\nkind = "text"\nany = ["known"]\n'


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    make_adapter_dir: Callable[[Path], Path],
    tiny_base: Path,
) -> tuple[Path, Path]:
    """Two trained adapters: one knows colours, the other sounds. Tests change neither."""
    root = tmp_path_factory.mktemp("trained")
    adapter_dir, other = (make_adapter_dir(root / name) for name in ("colours", "sounds"))
    for path in (other / "data").iterdir():
        path.write_text(
            path.read_text(encoding="utf-8").replace("Colour", "Sound"), encoding="utf-8"
        )
    (adapter_dir / "checks.toml").write_text(CHECKS)
    train_folder(adapter_dir, tiny_base)
    train_folder(other, tiny_base)
    return adapter_dir, other


def test_every_model_is_measured_on_every_set(trained: tuple[Path, Path], tiny_base: Path) -> None:
    """Three models on two sets make six scores, and each adapter is best on its own data."""
    evaluation = evaluate(trained, tiny_base, settings=Settings(max_tokens=16, draws=100))
    cells = [(score.model, score.data) for score in evaluation.scores]

    assert cells == [
        (model, data) for model in ("base", "colours", "sounds") for data in ("colours", "sounds")
    ]

    for own, other in (("colours", "sounds"), ("sounds", "colours")):
        best = evaluation.score(own, own)
        others = [evaluation.score(model, own)["loss"] for model in (other, "base")]
        assert best["loss"] < others[0] < others[1]
        assert best["perplexity"] == pytest.approx(math.exp(best["loss"]))
    for score in evaluation.scores:
        assert (score.examples, score.generated) == (2, 2)
        assert {"rouge_1", "rouge_2", "rouge_l", "bleu", "chrf", "words"} <= set(score.figures)


def test_adapters_are_compared_with_the_base(trained: tuple[Path, Path], tiny_base: Path) -> None:
    """Each figure of each adapter on each set, with its sign and whether that is better."""
    evaluation = evaluate(trained, tiny_base, settings=LITTLE)
    loss = evaluation.comparison("colours", "colours", "loss")
    assert loss is not None
    base, own = (evaluation.score(model, "colours")["loss"] for model in ("base", "colours"))
    assert loss.difference.value == pytest.approx(own - base)
    assert loss.is_better
    assert evaluation.comparison("base", "colours", "loss") is None
    assert {one.model for one in evaluation.comparisons} == {"colours", "sounds"}


def test_the_rules_of_a_folder_are_for_its_set(trained: tuple[Path, Path], tiny_base: Path) -> None:
    """All models answer to them, the reference answers, too; the answers say what failed."""
    evaluation = evaluate(trained, tiny_base, settings=LITTLE)
    assert evaluation.reference_checks == {"colours": {"known": 100.0}}
    assert list(evaluation.score("sounds", "colours").checks) == ["known"]
    assert evaluation.score("colours", "sounds").checks == {}

    asked = [one for one in evaluation.questions if one.data == "colours"]
    assert [one.question for one in asked] == ["Colour of sea?", "Colour of brick?"]
    sea = {"role": "user", "content": "Colour of sea?"}
    assert evaluation.as_dict()["questions"][0]["messages"] == [sea]
    for one in asked:
        assert one.reference.problems == {"known": None}
        failed = one.answers["base"].problems["known"] == "is missing"
        assert failed == ("known" not in one.answers["base"].text)


def test_general_questions_show_what_is_forgotten(
    trained: tuple[Path, Path], tiny_base: Path
) -> None:
    """One more set, and how adapters differ from the base on it."""
    evaluation = evaluate(trained[:1], tiny_base, with_general=True, settings=LITTLE)
    assert evaluation.sets == ("colours", GENERAL)
    assert evaluation.score("base", GENERAL).examples >= 40
    assert [one.figure for one in evaluation.forgetting] == ["loss", "check: right"]


def test_an_untrained_loss_is_the_training_reports(adapter_dir: Path, tiny_base: Path) -> None:
    """Evaluation and training measure the same losses."""
    report = train_folder(adapter_dir, tiny_base)
    evaluation = evaluate([adapter_dir], tiny_base, settings=Settings(limit=0))
    base, own = (evaluation.score(model, "colours") for model in ("base", "colours"))
    assert base["loss"] == pytest.approx(report.loss_before, rel=1e-5)
    assert own["loss"] == pytest.approx(report.loss_after, rel=0.02)


@pytest.mark.parametrize(("limit", "generated"), [(0, 0), (1, 1), (9, 2)])
def test_a_limit_holds_for_answers_only(
    trained: tuple[Path, Path], tiny_base: Path, limit: int, generated: int
) -> None:
    """The loss covers the whole set, whatever the limit; without answers there is no figure of
    any.
    """
    settings = Settings(limit=limit, max_tokens=4, draws=100)
    score = evaluate(trained[:1], tiny_base, settings=settings).scores[0]
    assert (score.examples, score.generated) == (2, generated)
    assert (score.get("rouge_l") is None) == (generated == 0)


def test_a_terminal_sees_a_bar(trained: tuple[Path, Path], tiny_base: Path) -> None:
    """It counts losses and answers."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)
    evaluate(trained, tiny_base, settings=Settings(limit=0, draws=100), console=console)
    assert "12/12" in terminal.getvalue()


def test_an_untrained_adapter_is_named(adapter_dir: Path, tiny_base: Path) -> None:
    """The error for a folder with a recipe and no weights says how to get them."""
    with pytest.raises(SetupError, match="run `lorabay train"):
        evaluate([adapter_dir], tiny_base, settings=Settings(limit=0))


def test_unreadable_weights_are_an_expected_failure(adapter_dir: Path, tiny_base: Path) -> None:
    """Weights that PEFT cannot load are named by their folder."""
    train_folder(adapter_dir, tiny_base)
    (adapter_dir / "adapter_config.json").unlink()
    with pytest.raises(SetupError, match=r"cannot load the adapter in .*colours"):
        evaluate([adapter_dir], tiny_base, settings=Settings(limit=0))


def test_names_that_a_report_cannot_tell_apart_are_refused(
    trained: tuple[Path, Path], tiny_base: Path
) -> None:
    """The same folder twice."""
    with pytest.raises(SetupError, match="would be called colours"):
        evaluate([trained[0], trained[0]], tiny_base)
