"""How a canary compares with the live version, with intervals of 95 %.

As JSON values: an answer of the admin side, which the command line prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.rollout.figures import failures, refusals
from lorabay.rollout.intervals import REPORT_Z, Interval, difference, ratio, wilson
from lorabay.rollout.rollout import Arm
from lorabay.rollout.strata import Stratum, moments, tallies

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.rollout.figures import Figures
    from lorabay.rollout.intervals import Moments
    from lorabay.rollout.rollout import Rollout

DIGITS = 12
"""Hex digits of a digest in the public name of a version."""


def report(rollout: Rollout) -> dict[str, Any]:
    """Return what is known of a rollout.

    Shares are in percent. Each comparison has a figure of either version over all of its answers,
    `change`, and the interval in which that lies: a difference in points for shares, a ratio for
    the rest. That is compared share by share of the clients, and so may differ from what the two
    figures let expect.
    """
    live, canary = rollout.figures[Arm.LIVE], rollout.figures[Arm.CANARY]
    guards = rollout.policy.guards
    return {
        "adapter": rollout.adapter,
        "status": str(rollout.status),
        "reason": rollout.reason,
        "live": f"{rollout.adapter}@{rollout.live[:DIGITS]}",
        "canary": f"{rollout.adapter}@{rollout.canary[:DIGITS]}",
        "share": rollout.percent,
        "step": rollout.step,
        "steps": [str(step) for step in rollout.policy.steps],
        "by": str(rollout.policy.by),
        "guards": {
            "failures": guards.failures,
            "first_token": guards.first_token,
            "speed": guards.speed,
            "length": guards.length,
            "refusals": guards.refusals,
            "samples": guards.samples,
        },
        "begun_at": rollout.begun_at,
        "step_since": rollout.step_since,
        "ended_at": rollout.ended_at,
        "answers": {"live": live.answers, "canary": canary.answers},
        "canary_share": _canary_share(rollout),
        "comparison": {
            "failures": _difference(rollout, failures),
            "refusals": _difference(rollout, refusals),
            "first_token_s": _ratio(rollout, lambda figures: figures.first_token_s),
            "tokens_per_s": _ratio(rollout, lambda figures: figures.tokens_per_s),
            "tokens": _ratio(rollout, lambda figures: figures.tokens, less=1),
        },
    }


def _canary_share(rollout: Rollout) -> dict[str, Any]:
    """Return the share of the answers that the canary made while it had its newest share."""
    last = rollout.strata[-1] if rollout.strata else Stratum(rollout.percent)
    hits, count = last.canary.answers, last.live.answers + last.canary.answers
    value = hits / count * 100 if count else None
    return {"value": value, "interval": _percent(wilson(hits, count, REPORT_Z)) if count else None}


def _difference(rollout: Rollout, of: Callable[[Figures], tuple[int, int]]) -> dict[str, Any]:
    """Return the shares of both versions that `of` counts, and how far they are apart."""
    fields: dict[str, Any] = {}
    for arm in (Arm.CANARY, Arm.LIVE):
        hits, count = of(rollout.figures[arm])
        fields[str(arm)] = hits / count * 100 if count else None

    found = difference(tallies(rollout.strata, of), REPORT_Z)
    if found is None:
        return fields | {"change": None, "interval": None}
    return fields | {"change": found.value * 100, "interval": _percent(found.interval)}


def _ratio(rollout: Rollout, of: Callable[[Figures], Moments], *, less: int = 0) -> dict[str, Any]:
    """Return two typical values, of which `less` is taken off again, and their ratio."""
    fields: dict[str, Any] = {}
    for arm in (Arm.CANARY, Arm.LIVE):
        typical = of(rollout.figures[arm]).typical
        fields[str(arm)] = None if typical is None else typical - less

    found = ratio(moments(rollout.strata, of), REPORT_Z)
    if found is None:
        return fields | {"change": None, "interval": None}
    return fields | {"change": found.value, "interval": list(found.interval)}


def _percent(interval: Interval) -> list[float]:
    return [end * 100 for end in interval]
