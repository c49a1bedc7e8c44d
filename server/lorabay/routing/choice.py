"""What a router's figures mean for one caller: an adapter that may be used, the base, or nothing.

    finance;why=domain;p=0.97    the question is of this adapter's domain
    base;why=no-domain           it fits no adapter that the caller may use, or none clearly
    finance;why=only;p=0.31      the caller may not use the base, and this fits best

What the caller may not use is not told apart from what does not fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Set as AbstractSet

BASE_CLASS = "base"
"""The class of questions that fit no adapter."""


class Why(StrEnum):
    """Why something was chosen."""

    DOMAIN = "domain"
    NO_DOMAIN = "no-domain"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class Choice:
    """An adapter, or None for the base. `likely` is the adapter's probability by the router."""

    adapter: str | None
    why: Why
    likely: float = 0.0

    @property
    def header(self) -> str:
        """The value of `x-route`."""
        if self.adapter is None:
            return f"{BASE_CLASS};why={self.why}"
        return f"{self.adapter};why={self.why};p={self.likely:.2f}"


def choose(
    likely: Mapping[str, float], allowed: AbstractSet[str], *, may_use_base: bool, threshold: float
) -> Choice | None:
    """Return what answers a question, given how likely it belongs to each class.

    The likeliest adapter is chosen if the question belongs to any of them with a probability of
    `threshold` or more. `allowed` are the adapters that may be used. None if nothing may.
    """
    best = max(likely.keys() - {BASE_CLASS}, key=lambda name: likely[name])
    if best in allowed and 1 - likely[BASE_CLASS] >= threshold:
        return Choice(best, Why.DOMAIN, likely[best])
    if may_use_base:
        return Choice(None, Why.NO_DOMAIN)

    usable = sorted(allowed & likely.keys())
    if not usable:
        return None
    nearest = max(usable, key=lambda name: likely[name])
    return Choice(nearest, Why.ONLY, likely[nearest])
