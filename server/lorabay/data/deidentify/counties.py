"""China's counties by their six digits, and the years in which there was each of them."""

from __future__ import annotations

import re
from functools import cache

_YEARS = re.compile(r"\[(?P<first>\d*)-(?P<last>\d*)\]")
_ALWAYS = (0, 9999)


def areas(province: str, year: int) -> tuple[str, ...]:
    """Return the counties that a province had in a year; if it had none, all of any year."""
    counties = _counties(province)
    then = tuple(code for code, first, last in counties if first <= year <= last)
    if then:
        return then
    return tuple(code for code, _, _ in counties)


@cache
def _counties(province: str) -> tuple[tuple[str, int, int], ...]:
    """Return the counties of a province: six digits, the first year and the last."""
    from stdnum import numdb

    places = numdb.get("cn/loc")
    found = []
    for rest in range(100, 10_000):
        # What ends in two noughts is a city.
        if rest % 100 == 0:
            continue

        code = f"{province}{rest:04}"
        named = [facts["county"] for _, facts in places.info(code) if "county" in facts]
        if named:
            newest = named[0].split(",")[0]
            found.append((code, *_years(newest)))
    return tuple(found)


def _years(county: str) -> tuple[int, int]:
    """Return the first and the last year of a county, as in `[1983-1993]`."""
    match = _YEARS.match(county)
    if match is None:
        return _ALWAYS

    first, last = _ALWAYS
    return int(match["first"] or first), int(match["last"] or last)
