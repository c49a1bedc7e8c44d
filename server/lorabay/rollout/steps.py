"""The steps of a rollout: how much of the traffic the canary gets, and for how long.

    5:10m     5 % for ten minutes; also 5%:10m, and s, h or d for other times
    25        25 % until somebody decides; only the last step may leave the time out
    100       everything: the canary becomes the live version when it has answered often enough
    100:stay  everything until somebody decides; also 25:stay, which is 25

Shares grow from step to step, so that nobody who has seen the canary is sent back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_STEPS = 20
LONGEST_S = 30 * 86_400.0
EVERYTHING = 100.0

STAY = "stay"
"""In place of a time: until an administrator decides."""

_STEP = re.compile(
    r"(?P<share>\d{1,3}(?:\.\d{1,3})?)%?(?::(?:(?P<time>\d{1,9})(?P<unit>[smhd])?|(?P<stay>stay)))?",
    re.ASCII,
)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a share in percent, and how many seconds it is held at least.

    `hold_s` is None for a step that only an administrator ends.
    """

    share: float
    hold_s: float | None

    def __str__(self) -> str:
        if self.hold_s is not None:
            return f"{self.share:g}:{self.hold_s:.0f}s"
        return f"{self.share:g}:{STAY}" if self.share == EVERYTHING else f"{self.share:g}"


def read_steps(texts: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps that texts stand for; raises ValueError saying what is wrong."""
    if not 1 <= len(texts) <= MOST_STEPS:
        raise ValueError(f"{len(texts)} steps; give 1 to {MOST_STEPS}, such as 5:10m and 100")

    steps = [_step(text) for text in texts]
    for before, step in pairwise(steps):
        if before.hold_s is None:
            raise ValueError(
                f"the step {before} has no time, and another one follows: write {before}:10m"
            )
        if step.share <= before.share:
            raise ValueError(
                f"the share {step.share:g} follows {before.share:g}: shares must grow from step to "
                "step"
            )
    return tuple(steps)


def _step(text: str) -> Step:
    found = _STEP.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is no step: write a share in percent and a time, such as 5:10m"
        )

    share = float(found["share"])
    if share > EVERYTHING:
        raise ValueError(f"the share {share:g} is not between 0 and 100 percent")
    if found["time"] is None:
        # Of everything, nothing is left to wait for, but that it has answered often enough.
        is_last = share == EVERYTHING and found["stay"] is None
        return Step(share, 0.0 if is_last else None)

    hold_s = int(found["time"]) * _UNITS[found["unit"] or "s"]
    if hold_s > LONGEST_S:
        raise ValueError(f"the time of {text.strip()!r} is longer than 30 days")
    return Step(share, hold_s)
