"""Evaluation is a full matrix of models by sets, and its numbers are those of the models."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from lorabay.errors import SetupError
from lorabay.training.evaluate import evaluate
from lorabay.training.train import train_folder


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
    train_folder(adapter_dir, tiny_base)
    train_folder(other, tiny_base)
    return adapter_dir, other


def test_every_model_is_measured_on_every_set(trained: tuple[Path, Path], tiny_base: Path) -> None:
    """Three models on two sets make six scores, and each adapter is best on its own data."""
    evaluation = evaluate(trained, tiny_base, max_tokens=16)
    cells = [(score.model, score.data) for score in evaluation.scores]

    assert cells == [
        (model, data) for model in ("base", "colours", "sounds") for data in ("colours", "sounds")
    ]

    for own, other in (("colours", "sounds"), ("sounds", "colours")):
        best = evaluation.score(own, own)
        assert best.loss < evaluation.score(other, own).loss < evaluation.score("base", own).loss
        assert best.perplexity == pytest.approx(math.exp(best.loss))
    for score in evaluation.scores:
        assert (score.examples, score.generated) == (2, 2)
        assert score.rouge_l is not None
        assert score.bleu is not None


def test_an_untrained_loss_is_the_training_reports(adapter_dir: Path, tiny_base: Path) -> None:
    """Evaluation and training measure the same losses."""
    report = train_folder(adapter_dir, tiny_base)
    evaluation = evaluate([adapter_dir], tiny_base, limit=0)
    assert evaluation.score("base", "colours").loss == pytest.approx(report.loss_before, rel=1e-5)
    assert evaluation.score("colours", "colours").loss == pytest.approx(report.loss_after, rel=0.02)


@pytest.mark.parametrize(("limit", "generated"), [(0, 0), (1, 1), (9, 2)])
def test_a_limit_holds_for_answers_only(
    trained: tuple[Path, Path], tiny_base: Path, limit: int, generated: int
) -> None:
    """The loss covers the whole set, whatever the limit; without answers there is no ROUGE-L and no
    BLEU.
    """
    score = evaluate(trained[:1], tiny_base, limit=limit, max_tokens=4).scores[0]
    assert (score.examples, score.generated) == (2, generated)
    assert (score.rouge_l is None) == (generated == 0)


def test_results_are_for_people_and_for_programs(
    trained: tuple[Path, Path], tiny_base: Path
) -> None:
    """The table names every model and set, the dictionary survives JSON, and a terminal sees a
    bar.
    """
    terminal, paper = io.StringIO(), io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=120)
    evaluation = evaluate(trained, tiny_base, limit=0, console=console)
    Console(file=paper, width=120).print(evaluation.table())

    for word in ("base", "colours", "sounds", "perplexity", "ROUGE-L", "BLEU"):
        assert word in paper.getvalue()

    scores = json.loads(json.dumps(evaluation.as_dict()))["scores"]
    assert len(scores) == 6
    assert scores[0]["perplexity"] == pytest.approx(math.exp(scores[0]["loss"]))
    assert "12/12" in terminal.getvalue()


def test_an_untrained_adapter_is_named(adapter_dir: Path, tiny_base: Path) -> None:
    """The error for a folder with a recipe and no weights says how to get them."""
    with pytest.raises(SetupError, match="run `lorabay train"):
        evaluate([adapter_dir], tiny_base)


def test_unreadable_weights_are_an_expected_failure(adapter_dir: Path, tiny_base: Path) -> None:
    """Weights that PEFT cannot load are named by their folder."""
    train_folder(adapter_dir, tiny_base)
    (adapter_dir / "adapter_config.json").unlink()
    with pytest.raises(SetupError, match=r"cannot load the adapter in .*colours"):
        evaluate([adapter_dir], tiny_base)
