"""The order in which examples are learnt: every one once an epoch, in another order each time.

The same seed gives the same order, so that a training that was killed goes on where it was.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.training.dataset import EncodedExample
    from lorabay.training.recipe import TrainingRecipe

_SORTED_TOGETHER = 16
"""Number of batches whose examples are sorted by length among themselves."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the optimiser learns from. Epochs count from 1."""

    epoch: int
    batches: tuple[tuple[EncodedExample, ...], ...]

    @property
    def answer_tokens(self) -> int:
        """Tokens that are learnt."""
        return sum(len(example.answer) for batch in self.batches for example in batch)


def count_steps(examples: int, settings: TrainingRecipe) -> int:
    """Return how many steps `steps` yields of so many examples."""
    return settings.epochs * math.ceil(examples / settings.batch_size)


def steps(examples: Sequence[EncodedExample], settings: TrainingRecipe) -> Iterator[Step]:
    """Yield all steps of a training.

    Examples of a batch are of similar length, because padding costs as much as text.
    """
    order = random.Random(settings.seed)
    size = settings.batch_size
    for epoch in range(1, settings.epochs + 1):
        shuffled = order.sample(examples, len(examples))

        batches: list[tuple[EncodedExample, ...]] = []
        for start in range(0, len(shuffled), size * _SORTED_TOGETHER):
            group = sorted(shuffled[start : start + size * _SORTED_TOGETHER], key=len)
            batches += [tuple(group[first : first + size]) for first in range(0, len(group), size)]

        # Sorted batches would be learnt from short to long.
        order.shuffle(batches)
        for batch in batches:
            yield Step(epoch, (batch,))
