"""Trains an adapter from its recipe: PEFT's LoRA on the base, on the CPU, in float32.

Guarantees that the same recipe, data, base, machine and thread count give the same bytes, and that
an adapter folder never holds half a result. Does not know how data is worded, how loss is taken or
how files are written.
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
from lorabay.training.dataset import Turn, read_examples, turn
from lorabay.training.recipe import Recipe, TrainingRecipe, read_recipe
from lorabay.training.save import write_adapter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

_CLIP = 1.0  # largest norm of a step's gradient
_SORTED_TOGETHER = 16  # batches whose examples are sorted by length among themselves


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training run did; losses are held-out nats per answer token."""

    adapter: Path
    examples: int
    steps: int
    seconds: float
    loss_before: float
    loss_after: float
    size_bytes: int

    def describe(self) -> str:
        """One line for a terminal."""
        return (
            f"{self.adapter}: {self.steps} steps over {self.examples} examples in {self.seconds:.0f} s, held-out "
            f"perplexity {math.exp(self.loss_before):.2f} -> {math.exp(self.loss_after):.2f}, "
            f"{self.size_bytes / 1e6:.1f} MB"
        )


def train(
    adapter_dir: Path, base_dir: Path, *, output: Path | None = None, console: Console | None = None
) -> TrainingReport:
    """Train the adapter in `adapter_dir` on the base in `base_dir` and write it to `output`
    (default: in place).

    Seeds torch's global generator. Shows its progress on `console` (default: stderr), if that is a
    terminal.
    """
    begin = time.monotonic()
    recipe = read_recipe(adapter_dir)
    tokenizer = load_tokenizer(base_dir)
    turns = _turns(adapter_dir / recipe.data.train, tokenizer, recipe)
    heldout = _turns(adapter_dir / recipe.data.heldout, tokenizer, recipe)
    model = _adapted(base_dir, recipe)
    total = recipe.training.epochs * math.ceil(len(turns) / recipe.training.batch_size)
    with model.disable_adapter():
        before = heldout_loss(model.get_base_model(), heldout, recipe.training.batch_size)
    _fit(model, turns, recipe.training, total, console)
    after = heldout_loss(model.eval().get_base_model(), heldout, recipe.training.batch_size)
    folder = output or adapter_dir
    base_name = public_name(read_config(base_dir), base_dir)
    write_adapter(folder, get_peft_model_state_dict(model), recipe, base_name)
    size = sum(path.stat().st_size for path in folder.glob("adapter_*"))
    return TrainingReport(folder, len(turns), total, time.monotonic() - begin, before, after, size)


def _turns(path: Path, tokenizer: Any, recipe: Recipe) -> list[Turn]:
    return [turn(tokenizer, example, recipe.training.max_tokens) for example in read_examples(path)]


def _adapted(base_dir: Path, recipe: Recipe) -> Any:
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
    model: Any, turns: Sequence[Turn], settings: TrainingRecipe, total: int, console: Console | None
) -> None:
    optimiser = _optimiser(model, settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: _rate(step, total, settings.warmup_ratio)
    )
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.train()
    with progress_bar(total, "train", console) as advance:
        for epoch, batch in _batches(turns, settings):
            loss = answer_loss(model.get_base_model(), batch)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(trained, _CLIP)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            advance(f"epoch {epoch}/{settings.epochs}, loss {loss.item():.3f}", 1)


def _optimiser(model: Any, settings: TrainingRecipe) -> torch.optim.Optimizer:
    named = [
        (name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad
    ]
    downs = [parameter for name, parameter in named if "lora_B" not in name]
    ups = [parameter for name, parameter in named if "lora_B" in name]
    groups: list[dict[str, Any]] = [
        {"params": downs, "lr": settings.learning_rate},
        {"params": ups, "lr": settings.learning_rate * settings.lora_plus_ratio},
    ]
    return torch.optim.AdamW(groups, weight_decay=settings.weight_decay)


def _rate(step: int, total: int, warmup_ratio: float) -> float:
    warmup = math.ceil(total * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _batches(turns: Sequence[Turn], settings: TrainingRecipe) -> Iterator[tuple[int, list[Turn]]]:
    """Every example once an epoch, in another order each time; examples of a batch are of similar
    length, since padding costs as much as text."""
    order, size = random.Random(settings.seed), settings.batch_size
    for epoch in range(1, settings.epochs + 1):
        shuffled = order.sample(turns, len(turns))
        batches: list[list[Turn]] = []
        for start in range(0, len(shuffled), size * _SORTED_TOGETHER):
            group = sorted(shuffled[start : start + size * _SORTED_TOGETHER], key=len)
            batches += [group[first : first + size] for first in range(0, len(group), size)]
        order.shuffle(batches)
        yield from ((epoch, batch) for batch in batches)
