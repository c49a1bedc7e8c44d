"""Addresses, Chinese and others."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from lorabay.data.recognisers import (
    chinese_addresses,
    chinese_places,
    english_addresses,
    english_places,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.recognisers.finding import Finding
    from lorabay.data.recognisers.view import View


def find(view: View) -> Iterator[Finding]:
    """Yield addresses of both."""
    return chain(
        chinese_addresses.find(view),
        chinese_places.find(view),
        english_addresses.find(view),
        english_places.find(view),
    )
