"""How a canary compares with the live version, with intervals of 95 %.

As JSON values: an answer of the admin side, which the command line prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.rollout.intervals import REPORT_Z, Interval, Moments, difference, ratio, wilson
from lorabay.rollout.rollout import Arm

if TYPE_CHECKING:
    from lorabay.rollout.rollout import Rollout

DIGITS = 12
"""Hex digits of a digest in the public name of a version."""


def report(rollout: Rollout) -> dict[str, Any]:
    """Return what is known of a rollout.

    Shares are in percent. Each comparison has a figure of either version, `change`, and the
    interval in which that lies: a difference in points for shares, a ratio for the rest.
    """
    live, canary = rollout.figures[Arm.LIVE], rollout.figures[Arm.CANARY]
    guards = rollout.policy.guards
    return {
        "adapter": rollout.adapter,
        "status": str(rollout.status),
        "reason": rollout.reason,
        "live": f"{rollout.adapter}@{rollout.live[:DIGITS]}",
        "canary": f"{rollout.adapter}@{rollout.canary[:DIGITS]}",
        "share": rollout.share * 100,
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
        "canary_share": _share(canary.answers, live.answers + canary.answers),
        "comparison": {
            "failures": _difference((canary.failed, canary.answers), (live.failed, live.answers)),
            "refusals": _difference((canary.declined, canary.read), (live.declined, live.read)),
            "first_token_s": _ratio(canary.first_token_s, live.first_token_s),
            "tokens_per_s": _ratio(canary.tokens_per_s, live.tokens_per_s),
            "tokens": _ratio(canary.tokens, live.tokens, less=1),
        },
    }


def _share(hits: int, count: int) -> dict[str, Any]:
    """Return the share of answers that the canary made."""
    value = hits / count * 100 if count else None
    return {"value": value, "interval": _percent(wilson(hits, count, REPORT_Z)) if count else None}


def _difference(canary: tuple[int, int], live: tuple[int, int]) -> dict[str, Any]:
    """Return two shares, each given as hits and count, and how far they are apart."""
    shares = [hits / count * 100 if count else None for hits, count in (canary, live)]
    fields: dict[str, Any] = {"canary": shares[0], "live": shares[1]}
    if shares[0] is None or shares[1] is None:
        return fields | {"change": None, "interval": None}

    between = difference(*canary, *live, REPORT_Z)
    return fields | {"change": shares[0] - shares[1], "interval": _percent(between)}


def _ratio(canary: Moments, live: Moments, *, less: int = 0) -> dict[str, Any]:
    """Return two typical values, of which `less` is taken off again, and their ratio."""
    typical = [
        None if moments.typical is None else moments.typical - less for moments in (canary, live)
    ]
    between = ratio(canary, live, REPORT_Z)
    change = None
    if canary.typical is not None and live.typical is not None:
        change = canary.typical / live.typical
    return {
        "canary": typical[0],
        "live": typical[1],
        "change": change,
        "interval": None if between is None else list(between),
    }


def _percent(interval: Interval) -> list[float]:
    return [end * 100 for end in interval]
