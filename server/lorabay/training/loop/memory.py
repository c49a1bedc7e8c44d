"""How much memory a training needs, before it starts, and whether there is as much.

An estimate from shapes: the base, what learns with its gradients and AdamW's two moments, and what
the longest batch leaves for the way back. Reads no values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import torch

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.files.host_memory import host_memory_bytes
from lorabay.training.loop.order import steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lorabay.training.dataset import EncodedExample
    from lorabay.training.recipe import Recipe

_FLOAT = 4
_FOUR_BITS = 0.53
"""Bytes of a value of NF4 with its share of the scales."""
_LEARNING = 3 * _FLOAT
"""Bytes of a learning value's gradient and moments, besides itself."""
_PER_HIDDEN, _PER_INNER, _PER_LOGIT = 16, 5, 3
"""Values that a layer keeps of a token for each of its hidden and inner ones, and the loss for each
token of the vocabulary: measured on Llamas, rounded up.
"""
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Needed:
    """Bytes of one training."""

    base: int
    learning: int
    activations: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.base + self.learning + self.activations

    def __str__(self) -> str:
        parts = {
            "the base": self.base,
            "what learns": self.learning,
            "the longest batch": self.activations,
        }
        named = [f"{name} {size / _GIB:.1f}" for name, size in parts.items()]
        return f"about {self.total / _GIB:.1f} GiB ({', '.join(named)})"


def needed(recipe: Recipe, base: Path, examples: Sequence[EncodedExample]) -> Needed:
    """Return what a training needs. Raises SetupError for a base that cannot be read."""
    files = BaseFiles.open(base)
    shapes = BaseShapes.of(files).shapes
    sizes = {name: shape[0] * shape[1] for name, shape in shapes.items() if shape}
    # A mixture's experts have three dimensions, and norms one: the files know them all.
    values = max(sum(sizes.values()), _values_of(files))
    learning = _learning(recipe, shapes, values)

    width = _FLOAT if recipe.training.precision == "float32" else 2
    own = 0 if recipe.variant.name == "full" else learning * _FLOAT
    return Needed(
        base=round(values * (_FOUR_BITS if recipe.variant.name == "qlora" else width)),
        learning=own + learning * _LEARNING,
        activations=_activations(recipe, files.config, examples) * width,
    )


def _values_of(files: BaseFiles) -> int:
    total = 0
    for tensor in files.tensors.values():
        count = 1
        for size in tensor.shape:
            count *= size
        total += count
    return total


def _learning(recipe: Recipe, shapes: Mapping[str, tuple[int, int] | None], values: int) -> int:
    """Return how many values learn."""
    if recipe.lora is None or recipe.variant.name == "full":
        return values
    targets = {
        name: shape
        for name, shape in shapes.items()
        if shape and name.endswith(recipe.lora.target_modules)
    }
    learning = sum(recipe.lora.rank * sum(shape) for shape in targets.values())
    if recipe.variant.name == "vera":
        learning = sum(recipe.lora.rank + shape[0] for shape in targets.values())
    if recipe.variant.name == "longlora":
        learning += sum(
            shape[0] * shape[1] for name, shape in shapes.items() if shape and "embed" in name
        )
    return learning


def _activations(
    recipe: Recipe, config: Mapping[str, object], examples: Sequence[EncodedExample]
) -> int:
    """Return how many values the largest batch keeps for the way back."""
    text = config.get("text_config")
    fields = text if isinstance(text, dict) else config
    layers, hidden, inner, vocabulary = (
        int(str(fields.get(name) or 0))
        for name in ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    )

    widest, logits = 0, 0
    for step in steps(examples, recipe.training.model_copy(update={"epochs": 1})):
        for batch in step.batches:
            longest = max(sum(map(len, row)) for row in batch)
            widest = max(widest, len(batch) * longest)
            learnt = sum(example.learnt_tokens for row in batch for example in row)
            logits = max(logits, learnt * vocabulary * _PER_LOGIT)

    layer = _PER_HIDDEN * hidden + _PER_INNER * inner
    kept = layers * hidden + layer if recipe.training.gradient_checkpointing else layers * layer
    return widest * kept + logits


def free_bytes() -> int:
    """Return the memory that there is: of the GPU, or of this machine or container."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    available = int(psutil.virtual_memory().available)
    own = int(psutil.Process().memory_info().rss)
    # A container's limit counts its own processes only, and of them this one is the largest.
    return min(available, host_memory_bytes() - own)


def check_memory(need: Needed, free: int) -> None:
    """Raise SetupError if a training needs more than there is."""
    if need.total > free:
        raise SetupError(
            f"the training needs {need}, and {free / _GIB:.1f} GiB are free: choose a smaller "
            "batch_size, gradient_checkpointing, precision bfloat16 or the variant qlora, or a "
            "larger machine"
        )
