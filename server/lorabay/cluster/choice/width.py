"""How many replicas an adapter is spread over: quickly more, slowly fewer.

An adapter that is hardly used has one replica, where its weights stay. A busy one has several, so
that none of them must answer it alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rule:
    """When an adapter is spread over more replicas, and when over fewer."""

    part: float = 0.5
    """The part of one replica's mean load that an adapter may make up there."""
    grow_after_s: float = 1.0
    """Seconds for which more must have been wanted. Then it gets all of them at once."""
    shrink_after_s: float = 60.0
    """Seconds for which fewer must have been wanted. Then it gives up one."""


@dataclass(frozen=True, slots=True)
class Width:
    """Over how many replicas an adapter is spread, and since when that is wrong.

    `wrong_since` is in seconds; None while it is right. `too_narrow` says which way it is wrong.
    """

    count: int = 1
    wrong_since: float | None = None
    too_narrow: bool = False


NARROW = Width()


def wanted_width(share: float, running: int, replicas: int, slots: int, part: float) -> int:
    """Return over how many of the replicas an adapter should be spread, at least one.

    `share` is its part of all requests, `running` how many of them are being answered, `slots` the
    adapters that one replica has room for. One that a single replica can answer stays there: its
    second place would be another one's. A busier one gets no more replicas than it has requests at
    a time, and no larger a part of all slots than of the traffic, or others would lose theirs.
    """
    if share * replicas <= 1:
        return 1
    busy = math.ceil(share * replicas / part)
    affordable = math.floor(share * replicas * slots)
    return max(1, min(busy, affordable, running, replicas))


def followed(width: Width, wanted: int, now: float, rule: Rule) -> Width:
    """Return the width of an adapter that should have `wanted`, by what it had and since when."""
    if wanted == width.count:
        return width if width.wrong_since is None else Width(width.count)

    too_narrow = wanted > width.count
    if width.wrong_since is None or width.too_narrow != too_narrow:
        width = replace(width, wrong_since=now, too_narrow=too_narrow)
    since = now if width.wrong_since is None else width.wrong_since

    if too_narrow:
        return Width(wanted) if now - since >= rule.grow_after_s else width
    if now - since < rule.shrink_after_s:
        return width
    return Width(width.count - 1, now if wanted < width.count - 1 else None)
