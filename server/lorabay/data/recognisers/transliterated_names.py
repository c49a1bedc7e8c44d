"""Names in Chinese characters that are not Chinese: of Uyghurs, Tibetans, Mongols and foreigners.

With a dot between its parts such a name is known by its form. Without one it is known by a list of
names, or of parts that stand in a row, and by what stands around it.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from lorabay.data.recognisers.chinese_cues import WEAK, around
from lorabay.data.recognisers.choices import any_of
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.lexicon import foreign_letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.view import View

_SCORE = 0.8

_DOT = re.compile("[·•・‧]")
_END = re.compile(r"[。!? ]*")


@cache
def _dotted() -> re.Pattern[str]:
    """Return the pattern of two or more parts with dots between them."""
    letters = "".join(foreign_letters())
    return re.compile(rf"[{letters}]{{1,6}}(?:[·•・‧][{letters}]{{1,7}}){{1,3}}")


@cache
def _listed() -> re.Pattern[str]:
    """Return the pattern of the names of the list, and of two or three parts in a row."""
    text = files(__package__).joinpath("transliterated_names.txt").read_text(encoding="utf-8")
    before, _, parts = text.partition("[part]")
    whole = before.partition("[whole]")[2].split()

    return re.compile(
        rf"(?P<row>(?:{any_of(parts.split())}){{2,3}})|(?:{any_of(whole)})(?:江|明|汗|古丽)?"
    )


def find(view: View) -> Iterator[Finding]:
    """Yield names; one of the list alone needs something that says that it is one."""
    plain = view.plain
    if _DOT.search(plain):
        for match in _dotted().finditer(plain):
            yield Finding(Kind.NAME, *match.span(), _SCORE)

    listed = list(_listed().finditer(plain))
    if not listed:
        return

    left, right = around(plain)
    for match in listed:
        said = left.get(match.start(), 0.0) + right.get(match.end(), 0.0)
        is_whole = match.start() == 0 and _END.fullmatch(plain, match.end()) is not None
        if match["row"] or said >= WEAK or is_whole:
            yield Finding(Kind.NAME, *match.span(), _SCORE)
