"""Who wins a final, and which of the others may be as good: by the loss on dev.

`peoples_verdict` has the other way to tell: by what people prefer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.search.finalist import least_difference, seed_spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.search.finalist import Finalist


class Verdict(Protocol):
    """Chooses among finalists."""

    @property
    def heading(self) -> str:
        """The head of the column that `shown` fills."""
        ...

    def ranked(self, finalists: Sequence[Finalist]) -> list[Finalist]:
        """Return the finalists, the best one first."""
        ...

    def is_noise(self, one: Finalist, winner: Finalist, finalists: Sequence[Finalist]) -> bool:
        """Return whether the difference between a finalist and the winner may be chance."""
        ...

    def sentences(self, winner: Finalist, finalists: Sequence[Finalist]) -> list[str]:
        """Return who won and what is noise, for people."""
        ...

    def remarks(self, winner: Finalist) -> list[str]:
        """Return what a baseline says of its winner beside the losses."""
        ...

    def shown(self, one: Finalist, winner: Finalist) -> str:
        """Return how a finalist stands to the winner, for a table."""
        ...

    def figures(self, one: Finalist) -> dict[str, Any]:
        """Return what else is known of a finalist, as values that JSON can hold."""
        ...


@dataclass(frozen=True, slots=True)
class ByLoss:
    """The lowest mean loss on dev wins; what is no further above it than chance makes of so many
    seeds is noise.
    """

    heading: str = "above the best"

    def ranked(self, finalists: Sequence[Finalist]) -> list[Finalist]:
        """Return the finalists by their mean losses."""
        return sorted(finalists, key=lambda one: one.dev_loss)

    def is_noise(self, one: Finalist, winner: Finalist, finalists: Sequence[Finalist]) -> bool:
        """Return whether other seeds make as much of a difference between means."""
        return one.dev_loss - winner.dev_loss <= least_difference(finalists)

    def sentences(self, winner: Finalist, finalists: Sequence[Finalist]) -> list[str]:
        """Return the losses, and what seeds make of them."""
        by_chance = least_difference(finalists)
        lines = [
            f"{winner.name} has the lowest loss on dev, {winner.dev_loss:.4f} over "
            f"{len(winner.runs)} seeds; another seed makes {seed_spread(finalists):.4f} of "
            f"difference, and means of so many differ by up to {by_chance:.4f} by chance"
        ]
        lines += [
            f"{one.name} is {one.dev_loss - winner.dev_loss:.4f} above it, which is noise"
            for one in finalists
            if one is not winner and self.is_noise(one, winner, finalists)
        ]
        return lines

    def remarks(self, winner: Finalist) -> list[str]:
        """Return nothing: losses are said anyway."""
        return []

    def shown(self, one: Finalist, winner: Finalist) -> str:
        """Return how far a finalist is above the winner."""
        return f"{one.dev_loss - winner.dev_loss:.4f}"

    def figures(self, one: Finalist) -> dict[str, Any]:
        """Return nothing: losses are the finalist's own."""
        return {}
