"""Results of verifying a merged model: how far its answers are from the expected ones.

Values only. How they are measured is in `verifier`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Difference:
    """Distance of two models' answers at the same positions."""

    largest_logit: float
    """Largest difference of a logit."""

    top1_agreement: float
    """Share of positions with the same best token, from 0 to 1."""

    mean_kl: float
    """Mean Kullback-Leibler divergence of the answers from those of the reference, in nats."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification that was run."""

    probes: int
    positions: int

    merged: Difference
    """Merged model against base + adapter."""

    rounding: Difference
    """PEFT's own merged weights, rounded to the output's dtype, against base + adapter."""

    allowed: float
    """Largest difference of a logit that rounding and the order of sums explain."""

    @property
    def passed(self) -> bool:
        return self.merged.largest_logit <= self.allowed

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the verification that `as_dict` described. Raise KeyError and TypeError."""
        return cls(
            probes=fields["probes"],
            positions=fields["positions"],
            merged=Difference(**fields["merged"]),
            rounding=Difference(**fields["rounding"]),
            allowed=fields["allowed"],
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the verification as JSON values."""
        return {**asdict(self), "passed": self.passed}

    def rows(self) -> list[tuple[str, str]]:
        """Return name and value of each row of a table."""
        extent = f"{self.probes} probes, {self.positions} positions"
        largest = f"{self.merged.largest_logit:.3g} (allowed {self.allowed:.3g})"
        return [
            ("verified", f"{extent}, against base + adapter in PEFT"),
            ("largest logit difference", largest),
            ("same best token", f"{self.merged.top1_agreement:.2%}"),
            ("mean KL divergence", f"{self.merged.mean_kl:.2e} nats"),
        ]
