"""Names, in Chinese characters and in Latin letters."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from lorabay.data.recognisers import chinese_names, english_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View


def find(view: View) -> Iterator[Finding]:
    """Yield names of both."""
    return chain(chinese_names.find(view), english_names.find(view))
