"""The guards of a rollout: how much worse a canary may be than the live version.

A guard speaks when even the better end of an interval of 99.9 % is beyond its limit. So few answers
that differ much are enough, and many that differ little; chance alone hardly ever is. Times and
lengths wait for more answers, since one slow answer says little. What both versions have in common
is not the canary's fault: they are compared share by share of the clients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from lorabay.rollout.figures import failures, refusals
from lorabay.rollout.intervals import GUARD_Z, Tally, difference, ratio, wilson
from lorabay.rollout.strata import moments, tallies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lorabay.rollout.figures import Figures
    from lorabay.rollout.intervals import Change, Moments
    from lorabay.rollout.strata import Stratum

FEWEST = 5
"""Answers of each version before failures are compared."""

MOSTLY = 0.5
"""Share of failures that is too much where the live version answers nobody."""

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


def trouble(strata: Sequence[Stratum], guards: Guards) -> str | None:
    """Return why the canary has to go; None while no guard speaks.

    The last stratum is that of the newest share.
    """
    return (
        _failures(strata, guards)
        or _refusals(strata, guards)
        or _first_token(strata, guards)
        or _fewer_tokens(strata, guards)
        or _length(strata, guards)
    )


def _failures(strata: Sequence[Stratum], guards: Guards) -> str | None:
    if guards.failures is None:
        return None
    if strata and strata[-1].is_alone:
        told = _mostly_fails(strata[-1].canary, guards)
        if told is not None:
            return told

    pairs = tallies(strata, failures)
    ours, others = _sums(pairs)
    found = difference(pairs, GUARD_Z)
    if found is None or min(ours.total, others.total) < FEWEST:
        return None
    if found.interval.low * 100 <= guards.failures:
        return None
    return (
        f"{ours.hits} of {ours.total} answers failed, and {others.hits} of {others.total} with the "
        "live version"
    )


def _mostly_fails(canary: Figures, guards: Guards) -> str | None:
    """Return what is wrong with a canary that has nothing to be compared with."""
    least = wilson(canary.failed, canary.answers, GUARD_Z).low
    if canary.answers < guards.samples or least <= MOSTLY:
        return None
    return f"{canary.failed} of {canary.answers} answers failed"


def _refusals(strata: Sequence[Stratum], guards: Guards) -> str | None:
    pairs = tallies(strata, refusals)
    ours, others = _sums(pairs)
    if guards.refusals is None or min(ours.total, others.total) < guards.samples:
        return None

    found = difference(pairs, GUARD_Z)
    if found is None or found.interval.low * 100 <= guards.refusals:
        return None
    return (
        f"it declines to answer {ours.hits} of {ours.total} times, and the live version "
        f"{others.hits} of {others.total} times"
    )


def _first_token(strata: Sequence[Stratum], guards: Guards) -> str | None:
    found = _ratio(strata, lambda figures: figures.first_token_s, guards)
    if guards.first_token is None or found is None or found.interval.low <= guards.first_token:
        return None
    return f"its first token takes {found.value:.1f} times as long as that of the live version"


def _fewer_tokens(strata: Sequence[Stratum], guards: Guards) -> str | None:
    found = _ratio(strata, lambda figures: figures.tokens_per_s, guards)
    if guards.speed is None or found is None or found.interval.high >= 1 / guards.speed:
        return None
    return f"its tokens come {1 / found.value:.1f} times as slowly as with the live version"


def _length(strata: Sequence[Stratum], guards: Guards) -> str | None:
    found = _ratio(strata, lambda figures: figures.tokens, guards)
    if guards.length is None or found is None:
        return None
    if found.interval.low <= guards.length and found.interval.high >= 1 / guards.length:
        return None
    return f"its answers are {found.value:.2g} times as long as those of the live version"


def _ratio(
    strata: Sequence[Stratum], of: Callable[[Figures], Moments], guards: Guards
) -> Change | None:
    """Return how times or lengths differ; None for too few answers."""
    pairs = moments(strata, of)
    ours = sum(pair[0].count for pair in pairs)
    others = sum(pair[1].count for pair in pairs)
    return ratio(pairs, GUARD_Z) if min(ours, others) >= guards.samples else None


def _sums(pairs: Iterable[tuple[Tally, Tally]]) -> tuple[Tally, Tally]:
    """Return what is compared of either version, over all strata."""
    ours = others = Tally(0, 0)
    for one, other in pairs:
        ours = Tally(ours.hits + one.hits, ours.total + one.total)
        others = Tally(others.hits + other.hits, others.total + other.total)
    return ours, others
