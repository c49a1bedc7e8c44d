"""Training of an adapter from its recipe: PEFT's LoRA on the base, on the CPU, in float32.

Guarantees that the same recipe, data, base, machine and thread count give the same bytes, and that
an adapter folder never holds half a result, nor one that diverged. Does not know how data is
worded, how loss is taken or how files are written.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.base.files import public_name, read_config
from lorabay.errors import SetupError
from lorabay.progress import progress_bar
from lorabay.training.answer_loss import answer_loss, heldout_loss
from lorabay.training.dataset import EncodedExample, encode, read_examples
from lorabay.training.recipe import Recipe, TrainingRecipe, read_recipe
from lorabay.training.save import write_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

_LARGEST_GRADIENT = 1.0
"""Norm to which a step's gradient is clipped."""
_SORTED_TOGETHER = 16
"""Number of batches whose examples are sorted by length among themselves."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Result of a training run; losses are held-out nats per answer token."""

    adapter: Path
    examples: int
    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    size_bytes: int

    def describe(self) -> str:
        """Return the report as one line for a terminal."""
        work = f"{self.steps} steps over {self.examples} examples in {self.seconds:.0f} s"
        before, after = _perplexity(self.loss_before), _perplexity(self.loss_after)
        perplexity = f"held-out perplexity {before:.2f} -> {after:.2f}"
        return f"{self.adapter}: {work}, {perplexity}, {self.size_bytes / 1e6:.1f} MB"


def _perplexity(loss: float) -> float:
    """Return e to the loss; infinity where no number is large enough."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def train(
    adapter_dir: Path, base_dir: Path, *, output: Path | None = None, console: Console | None = None
) -> TrainingReport:
    """Train the adapter of `adapter_dir` on the base in `base_dir` and write it to `output`.

    Without `output` it is written in place. Seeds torch's global generator. Shows its progress on
    `console` (default: stderr), if that is a terminal. Raises SetupError for a recipe, data or base
    that cannot be used, and for a training that diverges; then nothing is written.
    """
    begin = time.monotonic()
    recipe = read_recipe(adapter_dir)

    tokenizer = load_tokenizer(base_dir)
    examples = _encoded(adapter_dir / recipe.data.train, tokenizer, recipe)
    heldout = _encoded(adapter_dir / recipe.data.heldout, tokenizer, recipe)

    model = _model_with_adapter(base_dir, recipe)
    batch_size = recipe.training.batch_size
    steps = recipe.training.epochs * math.ceil(len(examples) / batch_size)

    with model.disable_adapter():
        before = heldout_loss(model.get_base_model(), heldout, batch_size)
    _fit(model, examples, recipe.training, steps, console)
    after = heldout_loss(model.eval().get_base_model(), heldout, batch_size)
    _check_finite(after, "the held-out loss after the training")

    folder = output or adapter_dir
    base_name = public_name(read_config(base_dir), base_dir)
    write_adapter(folder, get_peft_model_state_dict(model), recipe, base_name)
    return TrainingReport(
        adapter=folder,
        examples=len(examples),
        steps=steps,
        seconds=time.monotonic() - begin,
        loss_before=before,
        loss_after=after,
        size_bytes=sum(path.stat().st_size for path in folder.glob("adapter_*")),
    )


def _encoded(path: Path, tokenizer: Any, recipe: Recipe) -> list[EncodedExample]:
    limit = recipe.training.max_tokens
    return [encode(tokenizer, example, limit) for example in read_examples(path)]


def _model_with_adapter(base_dir: Path, recipe: Recipe) -> Any:
    """Return the base with a fresh adapter, initialised from the recipe's seed."""
    torch.manual_seed(recipe.training.seed)
    base = load_model(base_dir)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=list(recipe.lora.target_modules),
        use_rslora=recipe.lora.use_rslora,
        use_dora=recipe.lora.use_dora,
    )

    try:
        return get_peft_model(base, config)
    except ValueError as error:
        raise SetupError(
            f"the base has no such modules as the recipe's target_modules: {error}"
        ) from error


def _fit(
    model: Any,
    examples: Sequence[EncodedExample],
    settings: TrainingRecipe,
    steps: int,
    console: Console | None,
) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = _optimiser(model, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step, steps, settings.warmup_ratio)
    )

    model.train()
    with progress_bar(steps, "train", console) as advance:
        for epoch, batch in _batches(examples, settings):
            loss = answer_loss(model.get_base_model(), batch)
            # Once it is no number, no later step makes it one.
            _check_finite(loss.item(), f"the loss in epoch {epoch}")
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trained, _LARGEST_GRADIENT)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            advance(f"epoch {epoch}/{settings.epochs}, loss {loss.item():.3f}", 1)


def _check_finite(loss: float, which: str) -> None:
    """Raise SetupError for a loss that is not a number, or infinite."""
    if not math.isfinite(loss):
        raise SetupError(
            f"{which} is {loss}: the training diverged, and nothing was written; "
            "choose a smaller learning_rate in the recipe"
        )


def _optimiser(model: Any, settings: TrainingRecipe) -> torch.optim.Optimizer:
    """Return AdamW with a learning rate of its own for the B matrices.

    LoRA+: Hayou, Ghosh and Yu, "LoRA+: Efficient Low Rank Adaptation of Large Models" (2024).
    """
    matrices_b: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (matrices_b if "lora_B" in name else others).append(parameter)

    groups: list[dict[str, Any]] = [
        {"params": others, "lr": settings.learning_rate},
        {"params": matrices_b, "lr": settings.learning_rate * settings.lora_plus_ratio},
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def _rate(step: int, steps: int, warmup_ratio: float) -> float:
    """Return the share of the peak learning rate: a straight climb, then half a cosine to zero."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup

    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def _batches(
    examples: Sequence[EncodedExample], settings: TrainingRecipe
) -> Iterator[tuple[int, list[EncodedExample]]]:
    """Yield epoch (from 1) and batch: every example once an epoch, in another order each time.

    Examples of a batch are of similar length, because padding costs as much as text.
    """
    order = random.Random(settings.seed)
    size = settings.batch_size
    for epoch in range(1, settings.epochs + 1):
        shuffled = order.sample(examples, len(examples))

        batches: list[list[EncodedExample]] = []
        for start in range(0, len(shuffled), size * _SORTED_TOGETHER):
            group = sorted(shuffled[start : start + size * _SORTED_TOGETHER], key=len)
            batches += [group[first : first + size] for first in range(0, len(group), size)]

        # Sorted batches would be learnt from short to long.
        order.shuffle(batches)
        for batch in batches:
            yield epoch, batch
