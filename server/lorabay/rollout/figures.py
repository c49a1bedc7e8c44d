"""What the answers of one version amount to: failures, times, lengths, refusals.

Holds sums only, so that a rollout of weeks takes no more memory than one of minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lorabay.rollout.intervals import Moments


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer. What it does not tell is None: one that failed has no length.

    `declines` says whether the model declined to answer.
    """

    failed: bool
    first_token_s: float | None = None
    tokens_per_s: float | None = None
    tokens: int | None = None
    declines: bool | None = None


@dataclass(slots=True)
class Figures:
    """The answers of one version. `read` is how many texts were looked at for a refusal."""

    answers: int = 0
    failed: int = 0
    read: int = 0
    declined: int = 0
    first_token_s: Moments = field(default_factory=Moments)
    tokens_per_s: Moments = field(default_factory=Moments)
    tokens: Moments = field(default_factory=Moments)

    def add(self, sample: Sample) -> None:
        """Take in an answer."""
        self.answers += 1
        self.failed += sample.failed
        if sample.declines is not None:
            self.read += 1
            self.declined += sample.declines

        # Logarithms: a clock of milliseconds may show none, and an answer may have no token.
        if sample.first_token_s is not None:
            self.first_token_s.add(max(sample.first_token_s, 0.001))
        if sample.tokens_per_s is not None:
            self.tokens_per_s.add(max(sample.tokens_per_s, 0.001))
        if sample.tokens is not None:
            self.tokens.add(sample.tokens + 1)


def failures(figures: Figures) -> tuple[int, int]:
    """Return how many answers failed, and of how many."""
    return figures.failed, figures.answers


def refusals(figures: Figures) -> tuple[int, int]:
    """Return how many answers declined, and of how many that were read."""
    return figures.declined, figures.read
