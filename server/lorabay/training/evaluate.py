"""Evaluation of the base and adapters on the held-out data of every adapter: models by sets.

Loss and perplexity are those of the reference answers, in nats per answer token. ROUGE-L and BLEU
compare greedy answers with them. Adapters are merged into the base in float32 for speed, which
changes no number that is shown. Trains nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from peft import PeftModel
from rich.table import Table

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.files.real_paths import real_path
from lorabay.progress import progress_bar
from lorabay.training.answer_loss import heldout_loss
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.generate import greedy_answers
from lorabay.training.recipe import read_recipe
from lorabay.training.text_scores import bleu, rouge_l

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

BASE = "base"


@dataclass(frozen=True, slots=True)
class Score:
    """One model on one held-out set. ROUGE-L and BLEU are those of `generated` answers, and None if
    that is 0.
    """

    model: str
    data: str
    examples: int
    loss: float
    generated: int
    rouge_l: float | None
    bleu: float | None

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of every model on every set, model by model, the base first."""

    scores: tuple[Score, ...]

    def score(self, model: str, data: str) -> Score:
        """Return the score of one model on one set; both must be in the matrix."""
        return next(score for score in self.scores if (score.model, score.data) == (model, data))

    def as_dict(self) -> dict[str, Any]:
        """Return the scores as values that JSON can hold."""
        rows = [asdict(score) | {"perplexity": score.perplexity} for score in self.scores]
        return {"scores": rows}

    def table(self) -> Table:
        """Return a table, set by set; the best perplexity of each set is bold."""
        table = Table(title="Held-out data", title_justify="left")
        for column in ("data", "model"):
            table.add_column(column)
        for column in ("loss", "perplexity", "ROUGE-L", "BLEU", "examples", "answers"):
            table.add_column(column, justify="right")

        names = dict.fromkeys(score.data for score in self.scores)
        for data in names:
            rows = [score for score in self.scores if score.data == data]
            best = min(rows, key=lambda score: score.loss)
            for score in rows:
                table.add_row(*_cells(score), style="bold" if score is best else None)
            table.add_section()
        return table


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The held-out set of one adapter: reference answers, and the examples as tokens."""

    name: str
    references: tuple[str, ...]
    examples: tuple[EncodedExample, ...]


def evaluate(
    adapter_dirs: Sequence[Path],
    base_dir: Path,
    *,
    limit: int | None = None,
    max_tokens: int = 256,
    batch_size: int = 16,
    console: Console | None = None,
) -> Evaluation:
    """Measure the base and each adapter on the held-out set of each adapter's recipe.

    Only the first `limit` prompts of a set are answered for ROUGE-L and BLEU (default: all; 0:
    none), each with at most `max_tokens` tokens. Loss always covers the whole set. Raises
    SetupError for an adapter without a recipe, data or weights that can be read.
    """
    tokenizer = load_tokenizer(base_dir)
    sets = [_held_out(folder, tokenizer) for folder in adapter_dirs]
    folders = (None, *adapter_dirs)

    # The bar counts an example for its loss and once more for its answer.
    work_on_sets = sum(len(data.examples) + len(data.examples[:limit]) for data in sets)
    scores: list[Score] = []
    with progress_bar(len(folders) * work_on_sets, "evaluate", console) as advance:
        for folder in folders:
            name = real_path(folder).name if folder else BASE
            model = _model(base_dir, folder)

            for data in sets:
                done = partial(advance, f"{name} on {data.name}")
                loss = heldout_loss(model, data.examples, batch_size)
                done(len(data.examples))

                answers = greedy_answers(
                    model,
                    tokenizer,
                    data.examples[:limit],
                    max_tokens=max_tokens,
                    batch_size=batch_size,
                    done=done,
                )
                scores.append(_score(name, data, loss, answers))

    return Evaluation(tuple(scores))


def _held_out(adapter_dir: Path, tokenizer: Any) -> _HeldOut:
    examples = read_examples(adapter_dir / read_recipe(adapter_dir).data.heldout)
    return _HeldOut(
        name=real_path(adapter_dir).name,
        references=tuple(example.output for example in examples),
        examples=tuple(encode(tokenizer, example) for example in examples),
    )


def _model(base_dir: Path, adapter_dir: Path | None) -> Any:
    """Return the base, with an adapter merged into it if one is given."""
    model = load_model(base_dir)
    if adapter_dir is None:
        return model

    if not (adapter_dir / WEIGHTS_FILE).is_file():
        raise SetupError(f"{adapter_dir} has no {WEIGHTS_FILE}: run `lorabay train {adapter_dir}`")
    try:
        with quiet_transformers():
            return PeftModel.from_pretrained(model, adapter_dir).merge_and_unload()
    except (OSError, ValueError, RuntimeError) as error:
        raise SetupError(f"cannot load the adapter in {adapter_dir}: {error}") from error


def _score(model: str, data: _HeldOut, loss: float, answers: Sequence[str]) -> Score:
    references = data.references[: len(answers)]
    return Score(
        model=model,
        data=data.name,
        examples=len(data.examples),
        loss=loss,
        generated=len(answers),
        rouge_l=rouge_l(answers, references) if answers else None,
        bleu=bleu(answers, references) if answers else None,
    )


def _cells(score: Score) -> tuple[str, ...]:
    return (
        score.data,
        score.model,
        f"{score.loss:.3f}",
        f"{score.perplexity:.2f}",
        _figure(score.rouge_l),
        _figure(score.bleu),
        str(score.examples),
        str(score.generated),
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
