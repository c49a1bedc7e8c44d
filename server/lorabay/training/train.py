"""Training from a recipe: the base, what its variant adds, the steps, and the files.

Guarantees that the same recipe, data, base, machine and thread count give the same bytes, and that
a folder never holds half a result, nor one that diverged. Does not know how data is worded, how
loss is taken, what a variant is or how files are written.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lorabay.base.causal_lm import load_tokenizer
from lorabay.errors import SetupError, UsageError
from lorabay.progress import progress_bar
from lorabay.training.answer_loss import answer_loss, heldout_loss
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.loop.order import count_steps, steps
from lorabay.training.loop.rates import share_of_peak
from lorabay.training.recipe import Recipe, read_recipe
from lorabay.training.variants.table import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from lorabay.training.variants.interface import Trainee, Variant

_LARGEST_GRADIENT = 1.0
"""Norm to which a step's gradient is clipped."""


@dataclass(frozen=True, slots=True)
class Trained:
    """Result of a training run; losses are held-out nats per answer token."""

    folder: Path
    variant: str
    examples: int
    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    size_bytes: int

    def describe(self) -> str:
        """Return the result as one line for a terminal."""
        work = f"{self.steps} steps over {self.examples} examples in {self.seconds:.0f} s"
        before, after = _perplexity(self.loss_before), _perplexity(self.loss_after)
        perplexity = f"held-out perplexity {before:.2f} -> {after:.2f}"
        return f"{self.folder}: {work}, {perplexity}, {self.size_bytes / 1e6:.1f} MB"


def _perplexity(loss: float) -> float:
    """Return e to the loss; infinity where no number is large enough."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def train_folder(
    adapter_dir: Path, base: Path, *, output: Path | None = None, console: Console | None = None
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
    return train(recipe, output or adapter_dir, base=base, data=adapter_dir, console=console)


def train(
    recipe: Recipe, output: Path, *, base: Path, data: Path, console: Console | None = None
) -> Trained:
    """Train what `recipe` says on the base in a folder and write it into `output`.

    `data` is the folder that the recipe's paths are relative to. Seeds torch's global generator.
    Shows its progress on `console` (default: stderr), if that is a terminal. Raises SetupError for
    a recipe, data or base that cannot be used, and for a training that diverges; then nothing is
    written.
    """
    begin = time.monotonic()
    variant = VARIANTS[recipe.variant.name]

    tokenizer = load_tokenizer(base)
    examples = _encoded(data / recipe.data.train, tokenizer, recipe)
    heldout = _encoded(data / recipe.data.heldout, tokenizer, recipe)
    count = count_steps(len(examples), recipe.training)

    torch.manual_seed(recipe.training.seed)
    model = variant.load(base, recipe)
    before = heldout_loss(model, heldout, recipe.training.batch_size)

    trainee = variant.adapt(model, recipe, count)
    _fit(variant, trainee, examples, recipe, count, console)
    trainee.model.eval()
    after = heldout_loss(trainee.causal_lm, heldout, recipe.training.batch_size)
    _check_finite(after, "the held-out loss after the training")

    variant.save(trainee, recipe, base, output)
    return Trained(
        folder=output,
        variant=recipe.variant.name,
        examples=len(examples),
        steps=count,
        seconds=time.monotonic() - begin,
        loss_before=before,
        loss_after=after,
        size_bytes=sum(path.stat().st_size for path in output.glob("*.safetensors")),
    )


def _encoded(path: Path, tokenizer: Any, recipe: Recipe) -> list[EncodedExample]:
    limit = recipe.training.max_tokens
    return [encode(tokenizer, example, limit) for example in read_examples(path)]


def _fit(
    variant: Variant,
    trainee: Trainee,
    examples: Sequence[EncodedExample],
    recipe: Recipe,
    count: int,
    console: Console | None,
) -> None:
    settings = recipe.training
    learning = list(trainee.learning().values())
    groups = variant.groups(trainee, recipe)
    optimiser = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: share_of_peak(step, count, settings.warmup_ratio)
    )

    trainee.model.train()
    with progress_bar(count, "train", console) as advance:
        for number, step in enumerate(steps(examples, settings)):
            (batch,) = step.batches
            loss = answer_loss(trainee.causal_lm, batch)
            # Once it is no number, no later step makes it one.
            _check_finite(loss.item(), f"the loss in epoch {step.epoch}")
            penalty = variant.penalty(trainee)
            torch.autograd.backward(loss if penalty is None else loss + penalty)
            torch.nn.utils.clip_grad_norm_(learning, _LARGEST_GRADIENT)
            optimiser.step()
            variant.after_step(trainee, number)
            schedule.step()
            optimiser.zero_grad()
            advance(f"epoch {step.epoch}/{settings.epochs}, loss {loss.item():.3f}", 1)


def _check_finite(loss: float, which: str) -> None:
    """Raise SetupError for a loss that is not a number, or infinite."""
    if not math.isfinite(loss):
        raise SetupError(
            f"{which} is {loss}: the training diverged, and nothing was written; "
            "choose a smaller learning_rate in the recipe"
        )
