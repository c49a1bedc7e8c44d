"""What a recogniser finds in a text, as the pieces of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.recognisers.finder import apart
from lorabay.data.recognisers.finding import ENOUGH
from lorabay.data.recognisers.view import View

if TYPE_CHECKING:
    from lorabay.data.recognisers.finding import Recogniser


def found(recognise: Recogniser, text: str) -> list[str]:
    """Return the pieces that count, in order."""
    findings = apart(one for one in recognise(View(text)) if one.score >= ENOUGH)
    return [text[one.start : one.end] for one in findings]
