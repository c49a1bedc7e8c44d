"""Draws names as popularity has it: the k-th name about 1 / k^s as often as the first."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

EXPONENT = 1.1


def draw_names(names: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """`count` names, the first of `names` the most popular; the same seed draws the same."""
    weights = [1 / rank**EXPONENT for rank in range(1, len(names) + 1)]
    return tuple(random.Random(seed).choices(names, weights, k=count))
