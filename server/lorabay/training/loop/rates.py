"""The learning rate over a training, as a share of its peak."""

from __future__ import annotations

import math


def share_of_peak(step: int, steps: int, warmup_ratio: float) -> float:
    """Return the share for a step, from 0: a straight climb, then half a cosine to zero."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / warmup

    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))
