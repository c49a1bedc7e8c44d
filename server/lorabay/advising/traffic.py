"""The domains and their traffic, as a user gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def traffic_of(
    named: Sequence[str], domains: int | None, total: float, adapters: Sequence[str]
) -> dict[str, float]:
    """Return tokens/s by domain.

    `named` are `NAME=TOKENS_S`. Otherwise `total` is in equal parts that of so many `domains`, or
    of the adapters. Raise UsageError for what is given twice or cannot be read.
    """
    if named and (domains or total):
        raise UsageError("--domain says all: leave --domains and --traffic out")

    if not named:
        names = adapters if domains is None else _names(domains, adapters)
        return {name: total / len(names) for name in names}

    rates: dict[str, float] = {}
    for one in named:
        name, rate = _rate(one)
        if name in rates:
            raise UsageError(f"--domain {name} is given twice")
        rates[name] = rate
    return rates


def _names(domains: int, adapters: Sequence[str]) -> list[str]:
    made = [f"domain-{number}" for number in range(len(adapters) + 1, domains + 1)]
    return [*adapters[:domains], *made]


def _rate(one: str) -> tuple[str, float]:
    name, _, rate = one.partition("=")
    try:
        found = float(rate)
    except ValueError:
        found = -1.0
    if not name or not 0 <= found < float("inf"):
        raise UsageError(f"--domain {one!r} is not NAME=TOKENS_S")
    return name, found
