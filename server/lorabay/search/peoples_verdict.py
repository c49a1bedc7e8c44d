"""Who wins a final by what people prefer, when they do not know whose answers they read.

The strongest by Bradley and Terry wins. A finalist that did not lose clearly against it, by Holm's
correction over all comparisons, may be as good, and is called noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lorabay.judging.reporting.findings import finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.judging.reporting.duels import Duel
    from lorabay.judging.reporting.report import Report
    from lorabay.search.finalist import Finalist


@dataclass(frozen=True, slots=True)
class ByPeople:
    """Chooses by the report of a blind set whose sets are the finalists."""

    report: Report
    heading: str = "preferred"

    def ranked(self, finalists: Sequence[Finalist]) -> list[Finalist]:
        """Return the finalists by preference; of equals the one with the lower loss comes first."""
        return sorted(finalists, key=lambda one: (-self.report.scores[one.name], one.dev_loss))

    def is_noise(self, one: Finalist, winner: Finalist, finalists: Sequence[Finalist]) -> bool:
        """Return whether people did not clearly prefer the winner to this one."""
        duel = self._duel(one, winner)
        return duel is None or duel.winner != winner.name

    def sentences(self, winner: Finalist, finalists: Sequence[Finalist]) -> list[str]:
        """Return the votes for the winner, its comparison with each other one, and warnings."""
        lines = [f"{winner.name} is what {self._people(winner)}"]
        for one in finalists:
            if one is not winner:
                lines.append(self._compared(one, winner))

        lines.append(f"agreement: {self.report.agreed}")
        return [*lines, *(f"note: {warning}" for warning in self.report.warnings)]

    def remarks(self, winner: Finalist) -> list[str]:
        """Return how clearly people chose the winner."""
        return [self._people(winner)]

    def shown(self, one: Finalist, winner: Finalist) -> str:
        """Return how often people would prefer a finalist to the others."""
        figures = self.figures(one)
        share = f"{100 * figures['preferred']:.0f} %"
        if figures["preferred_interval"] is None:
            return share
        low, high = figures["preferred_interval"]
        return f"{share} ({100 * low:.0f} to {100 * high:.0f})"

    def figures(self, one: Finalist) -> dict[str, Any]:
        """Return how often people would prefer a finalist, with its interval if there is one."""
        strength = next((found for found in self.report.strengths if found.name == one.name), None)
        interval = None if strength is None else [strength.low, strength.high]
        return {"preferred": self.report.scores[one.name], "preferred_interval": interval}

    def _people(self, winner: Finalist) -> str:
        votes, judges = sum(self.report.done.values()), len(self.report.done)
        return (
            f"people prefer: {self.shown(winner, winner)} against the mean of the others, by "
            f"{votes} votes of {judges} judges"
        )

    def _compared(self, one: Finalist, winner: Finalist) -> str:
        duel = self._duel(one, winner)
        if duel is None:
            return f"{one.name} and {winner.name} were not compared: they answer the same"
        return finding(duel, len(self.report.duels)).removesuffix(".")

    def _duel(self, one: Finalist, other: Finalist) -> Duel | None:
        both = {one.name, other.name}
        return next((duel for duel in self.report.duels if {duel.first, duel.second} == both), None)
