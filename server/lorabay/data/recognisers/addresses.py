"""Addresses, Chinese and others."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from lorabay.data.recognisers import (
    chinese_addresses,
    chinese_descriptions,
    chinese_destinations,
    chinese_places,
    english_addresses,
    english_descriptions,
    english_places,
    english_rows,
    foreign_streets,
)
from lorabay.data.recognisers.address_lines import with_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View


def find(view: View) -> Iterator[Finding]:
    """Yield addresses of both; what overlaps is one address."""
    found: list[Iterator[Finding]] = [english_places.find(view)]
    if view.has_chinese:
        found += [
            chinese_addresses.find(view),
            chinese_places.find(view),
            chinese_destinations.find(view),
            chinese_descriptions.find(view),
        ]
    if view.has_latin:
        found += [
            english_addresses.find(view),
            english_rows.find(view),
            english_descriptions.find(view),
            foreign_streets.find(view),
        ]
    return with_lines(joined(chain.from_iterable(found)), view)


def joined(found: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings of one kind, those that overlap as one."""
    last: Finding | None = None
    for one in sorted(found, key=lambda one: one.start):
        if last is None:
            last = one
        elif one.overlaps(last):
            end = max(one.end, last.end)
            last = replace(last, end=end, score=max(one.score, last.score))
        else:
            yield last
            last = one
    if last is not None:
        yield last
