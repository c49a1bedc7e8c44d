"""Training from a recipe: the base, what its variant adds, the loop, and the files.

Guarantees that the same recipe, data, base, machine and thread count give the same bytes, also over
kills, and that a folder never holds half a result. Does not know how data is worded, how loss is
taken, what a variant is or how files are written.

    OUT/...             the adapter, or the model
    OUT/README.md       its card
    OUT/training/...    metrics, curves, a lock, and the checkpoint while it runs
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator

from lorabay.base.causal_lm import load_tokenizer
from lorabay.base.files import public_name, read_config
from lorabay.errors import UsageError
from lorabay.training.answer_loss import heldout_loss
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.loop.checkpoint import made_of
from lorabay.training.loop.fit import Fit
from lorabay.training.loop.learner import Learner
from lorabay.training.loop.memory import check_memory, free_bytes, needed
from lorabay.training.loop.one_at_a_time import alone_in
from lorabay.training.loop.order import count_steps
from lorabay.training.packing import check_packing
from lorabay.training.recipe import Recipe, read_recipe
from lorabay.training.record.card import write_card
from lorabay.training.record.curves import write_curves
from lorabay.training.record.metric_lines import MetricLines, read_metrics
from lorabay.training.trained import Trained
from lorabay.training.variants.table import VARIANTS
from lorabay.training.writing import writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from lorabay.training.loop.trackers import Tracker

RECORDS = "training"
"""Folder within the result's in which a training keeps what is its own."""
_CHECKPOINT = "checkpoint.pt"
_METRICS = "metrics.jsonl"


def train_folder(
    adapter_dir: Path,
    base: Path,
    *,
    output: Path | None = None,
    restart: bool = False,
    console: Console | None = None,
) -> Trained:
    """Train the recipe of an adapter's folder, in place unless there is an `output`.

    Raises UsageError for a whole model without an `output`, and what `train` raises.
    """
    recipe = read_recipe(adapter_dir)
    if output is None and not VARIANTS[recipe.variant.name].makes_adapter:
        raise UsageError(
            f"the variant {recipe.variant.name} makes a whole model, which is no adapter: name "
            "its folder with --output"
        )
    folder = output or adapter_dir
    return train(recipe, folder, base=base, data=adapter_dir, restart=restart, console=console)


def train(
    recipe: Recipe,
    output: Path,
    *,
    base: Path,
    data: Path,
    trackers: Sequence[Tracker] = (),
    restart: bool = False,
    console: Console | None = None,
) -> Trained:
    """Train what `recipe` says on the base in a folder and write it into `output`.

    `data` is the folder that the recipe's paths are relative to. Goes on from a checkpoint in
    `output`, unless it is told to `restart`. `trackers` follow it and may end it. Seeds torch's
    global generator. Shows its progress on `console` (default: stderr), if that is a terminal.

    Raises SetupError for a recipe, data or base that cannot be used, for a checkpoint of another
    training, for a disk that takes no more, and for a training that diverges before it has any good
    weights; then no weights are written.
    """
    accelerator = Accelerator()
    if not accelerator.is_main_process:
        return _train(recipe, output, base, data, (), accelerator, console)

    with alone_in(output / RECORDS):
        if restart:
            (output / RECORDS / _CHECKPOINT).unlink(missing_ok=True)
        metrics = output / RECORDS / _METRICS
        followers = (MetricLines(metrics), *trackers)
        trained = _train(recipe, output, base, data, followers, accelerator, console)

        with writing(metrics.parent):
            write_curves(metrics.parent, trained.sentence, read_metrics(metrics))
        with writing(output):
            write_card(trained, recipe, public_name(read_config(base), base))
            (output / RECORDS / _CHECKPOINT).unlink(missing_ok=True)
        return trained


def _train(
    recipe: Recipe,
    output: Path,
    base: Path,
    data: Path,
    trackers: Sequence[Tracker],
    accelerator: Accelerator,
    console: Console | None,
) -> Trained:
    begin = time.monotonic()
    variant = VARIANTS[recipe.variant.name]
    settings = recipe.training

    tokenizer = load_tokenizer(base)
    examples = _encoded(data / recipe.data.train, tokenizer, recipe, learns=True)
    heldout = _encoded(data / recipe.data.heldout, tokenizer, recipe)
    dev = _encoded(data / recipe.data.dev, tokenizer, recipe) if recipe.data.dev else []

    check_memory(needed(recipe, base, examples), free_bytes())

    torch.manual_seed(settings.seed)
    model = _on_device(variant.load(base, recipe), accelerator)
    check_packing(model, examples, settings)
    before = heldout_loss(model, heldout, settings.batch_size)

    origin = made_of(recipe, recipe.data.within(data), base)
    checkpoint = output / RECORDS / _CHECKPOINT

    planned = count_steps(examples, settings)
    trainee = variant.adapt(model, recipe, planned)
    learner = Learner(variant, trainee, recipe, accelerator)
    fit = Fit(
        learner,
        settings,
        examples,
        dev,
        checkpoint=checkpoint,
        origin=origin,
        trackers=trackers,
        is_main=accelerator.is_main_process,
    )
    resumed = fit.resume()
    ending = fit.run(console)

    trainee.model.eval()
    after = heldout_loss(trainee.causal_lm, heldout, settings.batch_size)
    if accelerator.is_main_process:
        with writing(output):
            variant.save(trainee, recipe, base, output)
    accelerator.wait_for_everyone()

    return Trained(
        folder=output,
        variant=recipe.variant.name,
        sentence=variant.sentence(recipe),
        examples=len(examples),
        heldout=len(heldout),
        steps=ending.steps,
        planned=planned,
        kept=ending.kept,
        resumed=resumed,
        tokens=sum(map(len, examples)),
        seconds=time.monotonic() - begin,
        loss_before=before,
        loss_after=after,
        dev_loss=ending.dev_loss,
        learning=sum(value.numel() for value in trainee.learning().values()),
        size_bytes=sum(path.stat().st_size for path in output.glob("*.safetensors")),
        reason=ending.reason,
        diverged=ending.diverged,
    )


def _encoded(
    path: Path, tokenizer: Any, recipe: Recipe, *, learns: bool = False
) -> list[EncodedExample]:
    every = learns and recipe.training.answers == "all"
    limit = recipe.training.max_tokens
    return [encode(tokenizer, one, limit, every_answer=every) for one in read_examples(path)]


def _on_device(model: Any, accelerator: Accelerator) -> Any:
    """Return the model on this process's device; a quantised one is there already."""
    if getattr(model, "is_loaded_in_4bit", False):
        return model
    return model.to(accelerator.device)
