"""The guards of a rollout: how much worse a canary may be than the live version.

A guard speaks when even the better end of an interval of 99.9 % is beyond its limit. So few answers
that differ much are enough, and many that differ little; chance alone hardly ever is. Times and
lengths wait for more answers, since one slow answer says little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from lorabay.rollout.intervals import GUARD_Z, difference, ratio, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.rollout.figures import Figures

FEWEST = 5
"""Answers of the canary before failures are compared."""

MOSTLY = 0.5
"""Share of failures that is too much where the live version has no answers to compare with."""

OFF = "off"


@dataclass(frozen=True, slots=True)
class Guards:
    """The limits; None is none.

    `failures` and `refusals` are points of percent that the canary may be above the live version.
    `first_token` is how many times as long the first token may take, `speed` how many times as slow
    tokens may come, and `length` how many times as long or as short answers may be. `samples` is
    how many answers of each version times, lengths and refusals wait for, and how many of the
    canary a step waits for.
    """

    failures: float | None = 2.0
    first_token: float | None = 1.5
    speed: float | None = 1.5
    length: float | None = 2.0
    refusals: float | None = 10.0
    samples: int = 20


LEAST = {"failures": 0.0, "refusals": 0.0, "first_token": 1.0, "speed": 1.0, "length": 1.0}
"""The least limit of each guard: below, a canary that is as good would have to go."""


def read_guards(wishes: Mapping[str, object]) -> Guards:
    """Return the guards with some limits changed; `off` takes a guard away.

    Raises ValueError saying what is wrong.
    """
    known = [field.name for field in fields(Guards)]
    changes: dict[str, float | int | None] = {}
    for name, value in wishes.items():
        if name not in known:
            raise ValueError(f"{name[:40]!r} is no guard; there are {', '.join(known)}")
        changes[name] = _samples(value) if name == "samples" else _limit(name, value)
    return replace(Guards(), **changes)  # type: ignore[arg-type]


def _samples(value: object) -> int:
    number = _number(value)
    if number is None or number != int(number) or not 2 <= number <= 1_000_000:
        raise ValueError("samples must be a whole number from 2 to 1000000")
    return int(number)


def _limit(name: str, value: object) -> float | None:
    if value == OFF:
        return None

    number = _number(value)
    least = LEAST[name]
    if number is None or not least <= number <= 1000:
        raise ValueError(f"{name} must be a number from {least:g} to 1000, or off")
    return number


def _number(value: object) -> float | None:
    """Return a number of JSON, or of a command line; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def trouble(canary: Figures, live: Figures, guards: Guards) -> str | None:
    """Return why the canary has to go; None while no guard speaks."""
    return (
        _failures(canary, live, guards)
        or _refusals(canary, live, guards)
        or _first_token(canary, live, guards)
        or _fewer_tokens(canary, live, guards)
        or _length(canary, live, guards)
    )


def _failures(canary: Figures, live: Figures, guards: Guards) -> str | None:
    if guards.failures is None or canary.answers < FEWEST:
        return None

    told = f"{canary.failed} of {canary.answers} answers failed"
    if live.answers < FEWEST:
        least = wilson(canary.failed, canary.answers, GUARD_Z).low
        return told if canary.answers >= guards.samples and least > MOSTLY else None

    least = difference(canary.failed, canary.answers, live.failed, live.answers, GUARD_Z).low
    if least * 100 <= guards.failures:
        return None
    return f"{told}, and {live.failed} of {live.answers} with the live version"


def _refusals(canary: Figures, live: Figures, guards: Guards) -> str | None:
    if guards.refusals is None or min(canary.read, live.read) < guards.samples:
        return None

    least = difference(canary.declined, canary.read, live.declined, live.read, GUARD_Z).low
    if least * 100 <= guards.refusals:
        return None
    return (
        f"it declines to answer {canary.declined} of {canary.read} times, and the live version "
        f"{live.declined} of {live.read} times"
    )


def _first_token(canary: Figures, live: Figures, guards: Guards) -> str | None:
    ours, others = canary.first_token_s, live.first_token_s
    if guards.first_token is None or min(ours.count, others.count) < guards.samples:
        return None

    found = ratio(ours, others, GUARD_Z)
    if found is None or found.low <= guards.first_token:
        return None
    slower = math.exp(ours.mean - others.mean)
    return f"its first token takes {slower:.1f} times as long as that of the live version"


def _fewer_tokens(canary: Figures, live: Figures, guards: Guards) -> str | None:
    ours, others = canary.tokens_per_s, live.tokens_per_s
    if guards.speed is None or min(ours.count, others.count) < guards.samples:
        return None

    found = ratio(ours, others, GUARD_Z)
    if found is None or found.high >= 1 / guards.speed:
        return None
    slower = math.exp(others.mean - ours.mean)
    return f"its tokens come {slower:.1f} times as slowly as with the live version"


def _length(canary: Figures, live: Figures, guards: Guards) -> str | None:
    ours, others = canary.tokens, live.tokens
    if guards.length is None or min(ours.count, others.count) < guards.samples:
        return None

    found = ratio(ours, others, GUARD_Z)
    if found is None or (found.low <= guards.length and found.high >= 1 / guards.length):
        return None
    times = math.exp(ours.mean - others.mean)
    return f"its answers are {times:.2g} times as long as those of the live version"
