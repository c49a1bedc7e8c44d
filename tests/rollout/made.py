"""Figures of versions whose answers are drawn, for the tests of rollouts."""

from __future__ import annotations

import math
import random

from lorabay.rollout.figures import Figures, Sample


def drawn(
    draw: random.Random,
    *,
    fails: float = 0.01,
    first_token_s: float = 0.2,
    tokens_per_s: float = 40.0,
    tokens: float = 100.0,
    declines: float = 0.05,
) -> Sample:
    """Return an answer of a version that is so on the whole, with the spread of real ones."""
    if draw.random() < fails:
        return Sample(failed=True)
    return Sample(
        failed=False,
        first_token_s=first_token_s * math.exp(draw.gauss(0, 0.6)),
        tokens_per_s=tokens_per_s * math.exp(draw.gauss(0, 0.3)),
        tokens=round(tokens * math.exp(draw.gauss(0, 0.7))),
        declines=draw.random() < declines,
    )


def figures(count: int, seed: int = 1, **version: float) -> Figures:
    """Return the figures of so many answers."""
    draw, made = random.Random(seed), Figures()
    for _ in range(count):
        made.add(drawn(draw, **version))
    return made
