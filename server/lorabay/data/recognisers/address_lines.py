"""Chinese addresses that go on in the line before or after: regions above, a building below.

A line counts if it holds nothing else.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from lorabay.data.recognisers.regions import regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View

_BUILDING = re.compile(
    r"[ \t]*(?:[\u4e00-\u9fffA-Z]{0,8}?(?:[A-Za-z]?\d{1,4}(?:-[A-Z\d]{1,4})*|[A-Z])"
    r"(?:号楼|号院|号|栋|幢|座|单元|层|楼|室|户|门)){1,4}(?:\d{2,4}室?)?[ \t]*(?=\n|$)"
)


def with_lines(found: Iterable[Finding], view: View) -> Iterator[Finding]:
    """Yield addresses, each with the lines around it that belong to it."""
    plain = view.plain
    if "\n" not in plain or not view.has_chinese:
        yield from found
        return

    for one in found:
        yield replace(one, start=_start(plain, one.start), end=_end(plain, one.end))


def _start(plain: str, start: int) -> int:
    """Return where an address begins, of which the regions may stand in the line before."""
    ahead, newline, indent = plain[:start].rpartition("\n")
    line = ahead.rpartition("\n")[2].strip()
    if not newline or indent.strip() or not _only_regions().fullmatch(line):
        return start
    return ahead.rindex(line)


def _end(plain: str, end: int) -> int:
    """Return where an address ends, of which the building may stand in the line after."""
    if plain[end : end + 1] != "\n":
        return end
    match = _BUILDING.match(plain, end + 1)
    return end if match is None else end + 1 + len(match[0].rstrip())


@cache
def _only_regions() -> re.Pattern[str]:
    """Return the pattern of a row of regions and nothing else, perhaps behind a label."""
    return re.compile(
        rf"(?:(?:{regions().pattern})|[\u4e00-\u9fff]{{1,4}}(?:省|市|区|县|州|盟|旗|镇|乡)){{1,5}}"
    )
