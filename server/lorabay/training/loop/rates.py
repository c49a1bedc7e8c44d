"""The learning rate over a training, as a share of its peak."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.training.recipe import TrainingRecipe


def share_of_peak(step: int, steps: int, settings: TrainingRecipe) -> float:
    """Return the share for a step, from 0: a straight climb, then the recipe's schedule."""
    warmup = math.ceil(steps * settings.warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup

    progress = (step - warmup) / max(1, steps - warmup)
    match settings.schedule:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            return 1 - progress
        case "constant":
            return 1.0
