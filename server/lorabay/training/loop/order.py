"""The order in which examples are learnt: every one once an epoch, in another order each time.

The same seed gives the same order, so that a training that was killed goes on where it was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lorabay.training.answer_loss import Row
    from lorabay.training.dataset import EncodedExample
    from lorabay.training.recipe import TrainingRecipe

_SORTED_TOGETHER = 16
"""Number of batches whose rows are sorted by length among themselves."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the optimiser learns from: batches of rows. Epochs count from 1."""

    epoch: int
    batches: tuple[tuple[Row, ...], ...]

    @property
    def learnt_tokens(self) -> int:
        """Tokens that are learnt."""
        return sum(example.learnt_tokens for example in self._examples())

    @property
    def tokens(self) -> int:
        """Tokens that are read, without padding."""
        return sum(map(len, self._examples()))

    def _examples(self) -> Iterator[EncodedExample]:
        for batch in self.batches:
            for row in batch:
                yield from row


def steps(examples: Sequence[EncodedExample], settings: TrainingRecipe) -> Iterator[Step]:
    """Yield all steps of a training.

    Rows of a batch are of similar length, because padding costs as much as text.
    """
    order = random.Random(settings.seed)
    size, together = settings.batch_size, settings.accumulation
    for epoch in range(1, settings.epochs + 1):
        rows = _rows(order.sample(examples, len(examples)), settings)

        batches: list[tuple[Row, ...]] = []
        for start in range(0, len(rows), size * _SORTED_TOGETHER):
            group = sorted(rows[start : start + size * _SORTED_TOGETHER], key=_length)
            batches += [tuple(group[first : first + size]) for first in range(0, len(group), size)]

        # Sorted batches would be learnt from short to long.
        order.shuffle(batches)
        for start in range(0, len(batches), together):
            yield Step(epoch, tuple(batches[start : start + together]))


def count_steps(examples: Sequence[EncodedExample], settings: TrainingRecipe) -> int:
    """Return how many steps there are: packing makes a number of its own in each epoch."""
    return sum(1 for _ in steps(examples, settings))


def _rows(examples: Sequence[EncodedExample], settings: TrainingRecipe) -> list[Row]:
    """Return the examples in rows: one in each, or as many as fit behind one another."""
    if not settings.packing:
        return [(example,) for example in examples]

    rows: list[Row] = []
    row: Row = ()
    for example in examples:
        if row and _length((*row, example)) > settings.max_tokens:
            rows.append(row)
            row = ()
        row = (*row, example)
    return [*rows, row]


def _length(row: Row) -> int:
    return sum(map(len, row))
