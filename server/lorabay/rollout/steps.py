"""The steps of a rollout: how much of the traffic the canary gets, and for how long.

    5:10m     5 % for ten minutes; also 5%:10m, and s, h or d for other times
    25        25 % until somebody decides; only the last step may leave the time out
    100       everything: the canary becomes the live version when it has answered often enough

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

_STEP = re.compile(
    r"(?P<share>\d{1,3}(?:\.\d{1,3})?)%?(?::(?P<time>\d{1,9})(?P<unit>[smhd])?)?", re.ASCII
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
        return f"{self.share:g}" if self.hold_s is None else f"{self.share:g}:{self.hold_s:.0f}s"


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

    last = steps[-1]
    if last.share == EVERYTHING and last.hold_s is None:
        # Nothing is left to wait for, but that it has answered often enough.
        steps[-1] = Step(EVERYTHING, 0.0)
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
        return Step(share, None)

    hold_s = int(found["time"]) * _UNITS[found["unit"] or "s"]
    if hold_s > LONGEST_S:
        raise ValueError(f"the time of {text.strip()!r} is longer than 30 days")
    return Step(share, hold_s)
