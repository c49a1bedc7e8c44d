"""What holding a merged model against its base and adapter found. Values only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Difference:
    """How far answers are from the reference: logits, share of positions with the same best token,
    nats.
    """

    largest_logit: float
    top1_agreement: float
    mean_kl: float


@dataclass(frozen=True, slots=True)
class Verification:
    """`merged` against base + adapter; `rounding` is what rounding PEFT's own weights does;
    `allowed` logits.
    """

    probes: int
    positions: int
    merged: Difference
    rounding: Difference
    allowed: float

    @property
    def passed(self) -> bool:
        return self.merged.largest_logit <= self.allowed

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `as_dict`. Raises KeyError and TypeError."""
        differences = {name: Difference(**fields[name]) for name in ("merged", "rounding")}
        return cls(fields["probes"], fields["positions"], **differences, allowed=fields["allowed"])

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}

    def rows(self) -> list[tuple[str, str]]:
        """For a table."""
        merged = self.merged
        return [
            (
                "verified",
                f"{self.probes} probes, {self.positions} positions, against base + adapter in PEFT",
            ),
            (
                "largest logit difference",
                f"{merged.largest_logit:.3g} (allowed {self.allowed:.3g})",
            ),
            ("same best token", f"{merged.top1_agreement:.2%}"),
            ("mean KL divergence", f"{merged.mean_kl:.2e} nats"),
        ]
