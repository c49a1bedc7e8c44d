"""Words near a number that say what it is.

Owns how near is near: the same sentence, and a few words between.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.data.recognisers.view import View

BEFORE, AFTER = 40, 24
"""Characters in which a cue may stand before or after what it is for, unless a kind says less."""

_END_OF_SENTENCE = re.compile(r"[。！？!?;；]|(?<![Nn]o)\.\s+(?=[A-Z])")


def is_called(
    view: View,
    start: int,
    end: int,
    cue: re.Pattern[str],
    before: int = BEFORE,
    after: int = AFTER,
) -> bool:
    """Return whether a cue stands in the same sentence, closely before a place or after it."""
    if cue.search(_END_OF_SENTENCE.split(view.before(start, before))[-1]):
        return True
    return cue.search(_END_OF_SENTENCE.split(view.after(end, after))[0]) is not None
