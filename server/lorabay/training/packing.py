"""Whether a base keeps packed examples apart.

Attention looks where its mask lets it look. Linear attention, convolutions and state spaces carry
something of every token before along, and some models take neither positions nor such a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from lorabay.errors import SetupError
from lorabay.training.answer_loss import Batch, states
from lorabay.training.dataset import EncodedExample
from lorabay.training.loop.order import steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.training.answer_loss import Row
    from lorabay.training.recipe import TrainingRecipe

_READ = 64
"""Tokens of an example that are read, at most."""
_COMPARED = 8
"""First tokens of the second example that are compared: what is carried over is strongest there."""
_ROUNDING = {torch.float32: 1e-3}
"""Relative differences that are rounding, by number format."""
_COARSE = 0.1
"""That of other number formats."""


def check_packing(model: Any, examples: Sequence[EncodedExample], settings: TrainingRecipe) -> None:
    """Raise SetupError if a training packs examples, and the model carries over between them.

    Leaves the model as it answers, without dropout.
    """
    row = _packed_row(examples, settings)
    if row is not None and not _keeps_apart(model.eval(), *map(_begin, row[:2])):
        raise SetupError(
            "this base's layers carry over between packed examples: leave out training.packing"
        )


def _packed_row(examples: Sequence[EncodedExample], settings: TrainingRecipe) -> Row | None:
    """Return a row with several examples; None if there is none."""
    if not settings.packing:
        return None
    rows = (row for step in steps(examples, settings) for batch in step.batches for row in batch)
    return next((row for row in rows if len(row) > 1), None)


def _begin(example: EncodedExample) -> EncodedExample:
    return EncodedExample(example.tokens[:_READ], ())


def _keeps_apart(model: Any, first: EncodedExample, second: EncodedExample) -> bool:
    """Return whether the second example is read behind the first as it is read alone."""
    with torch.inference_mode():
        alone = states(model, Batch.of([(second,)], model.device))[0, :_COMPARED].float()
        try:
            row = states(model, Batch.of([(first, second)], model.device))[0].float()
        except (RuntimeError, TypeError, ValueError):
            # A model that takes no positions, or no mask of this form.
            return False

    packed = row[len(first) :][:_COMPARED]
    difference = (packed - alone).norm(dim=-1) / alone.norm(dim=-1)
    return float(difference.mean()) <= _ROUNDING.get(model.dtype, _COARSE)
