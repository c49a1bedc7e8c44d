"""Names, in Chinese characters and in Latin letters."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from lorabay.data.recognisers import (
    chinese_names,
    english_names,
    masked_names,
    name_rows,
    small_names,
    transliterated_names,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View


def find(view: View) -> Iterator[Finding]:
    """Yield names of both."""
    found: list[Iterator[Finding]] = [masked_names.find(view)]
    if view.has_chinese:
        found += [transliterated_names.find(view), chinese_names.find(view)]
    if view.has_latin:
        found += [english_names.find(view), name_rows.find(view), small_names.find(view)]
    return chain.from_iterable(found)
