"""One rollout: its steps, its figures, and what is to be done next.

    running -> promoted      the last step of 100 % is over, or an administrator says so
            -> rolled_back   a guard spoke, or the engine refuses the canary
            -> stopped       an administrator says so
            -> overtaken     another version went live meanwhile, or the adapter was taken away

Decides only; whoever owns it does what `next_move` says, and then notes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lorabay.rollout.assignment import place
from lorabay.rollout.figures import Figures, Sample
from lorabay.rollout.guards import trouble
from lorabay.rollout.policy import Policy
from lorabay.rollout.steps import EVERYTHING, Step
from lorabay.rollout.strata import MOST_STRATA, Stratum


class Status(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    OVERTAKEN = "overtaken"


class Arm(StrEnum):
    """What a version is in a rollout."""

    LIVE = "live"
    CANARY = "canary"


class Move(StrEnum):
    """What is to be done with a rollout."""

    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"


@dataclass(slots=True)
class Rollout:
    """A rollout of version `canary` of an adapter, beside version `live`: both are digests.

    Times are seconds since the epoch, so that they hold over a restart. `step_answers` are those of
    the canary since the step began. `figures` are of all answers, and `strata` of those that are
    compared: none of those of a former release, which mixed all shares.
    """

    adapter: str
    live: str
    canary: str
    policy: Policy
    begun_at: float
    step_since: float
    step: int = 0
    step_answers: int = 0
    status: Status = Status.RUNNING
    reason: str = ""
    ended_at: float | None = None
    figures: dict[Arm, Figures] = field(
        default_factory=lambda: {Arm.LIVE: Figures(), Arm.CANARY: Figures()}
    )
    strata: list[Stratum] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        """True until it has ended, in whichever way."""
        return self.status is Status.RUNNING

    def is_same(self, other: Rollout) -> bool:
        """Return whether the other one is this rollout, as it was known at another time."""
        ours = self.adapter, self.canary, self.begun_at
        return ours == (other.adapter, other.canary, other.begun_at)

    @property
    def percent(self) -> float:
        """The share of clients that the canary answers now, in percent, as it was asked for."""
        return self._step.share if self.is_running else 0.0

    @property
    def share(self) -> float:
        """The share of clients that the canary answers now, from 0 to 1."""
        return self.percent / EVERYTHING

    @property
    def _step(self) -> Step:
        return self.policy.steps[self.step]

    def arm_for(self, who: str) -> Arm:
        """Return which of the two versions answers a client, by its identity."""
        line = f"{self.adapter}@{self.canary}"
        return Arm.CANARY if place(line, who) < self.share else Arm.LIVE

    def add(self, arm: Arm, sample: Sample, percent: float | None = None) -> None:
        """Take in an answer of one of the versions.

        `percent` is the share when its version was chosen, by default that of now.
        """
        if percent is None:
            percent = self.percent
        self.figures[arm].add(sample)
        self.step_answers += arm is Arm.CANARY and percent == self.percent

        stratum = self._stratum(percent)
        if stratum is not None:
            (stratum.live if arm is Arm.LIVE else stratum.canary).add(sample)

    def _stratum(self, percent: float) -> Stratum | None:
        """Return where answers of a share belong; None for one that is not known any more."""
        for stratum in self.strata:
            if stratum.percent == percent:
                return stratum
        if percent != self.percent:
            return None

        stratum = Stratum(percent)
        self.strata = [*self.strata, stratum][-MOST_STRATA:]
        return stratum

    def trouble(self) -> str | None:
        """Return why the canary has to go; None while no guard speaks."""
        return trouble(self.strata, self.policy.guards)

    def next_move(self, now: float) -> Move | None:
        """Return what is to be done at a time; None for nothing yet.

        A step ends when it was held for its time and the canary has answered often enough since it
        began: a night without traffic proves nothing.
        """
        if not self.is_running:
            return None
        if self.trouble() is not None:
            return Move.ROLL_BACK

        hold_s = self._step.hold_s
        is_over = hold_s is not None and now - self.step_since >= hold_s
        # A step of nothing has no answers to wait for.
        is_proved = self.step_answers >= self.policy.guards.samples or self._step.share == 0
        if not is_over or not is_proved:
            return None

        if self.step + 1 < len(self.policy.steps):
            return Move.ADVANCE
        return Move.PROMOTE if self._step.share == EVERYTHING else None

    def advance(self, now: float) -> None:
        """Go on to the next step."""
        self._begin_step(self.step + 1, now)

    def go_on(self, policy: Policy, now: float) -> None:
        """Begin with the steps of another policy; clients and figures stay."""
        self.policy = policy
        self._begin_step(0, now)

    def _begin_step(self, step: int, now: float) -> None:
        self.step, self.step_since, self.step_answers = step, now, 0

    def end(self, status: Status, reason: str, now: float) -> None:
        """Note that it has ended; the first end counts."""
        if self.is_running:
            self.status, self.reason, self.ended_at = status, reason, now

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        fields: dict[str, Any] = _FORM.dump_python(self, mode="json")
        return fields


_FORM = TypeAdapter(Rollout)


def from_json(fields: Mapping[str, Any]) -> Rollout | None:
    """Return what `as_json` wrote; None for what is no rollout of this release."""
    try:
        rollout = _FORM.validate_python(fields)
    except ValidationError:
        return None
    is_whole = set(rollout.figures) == set(Arm) and 0 <= rollout.step < len(rollout.policy.steps)
    if not is_whole:
        return None
    rollout.strata = rollout.strata[-MOST_STRATA:]
    return rollout
