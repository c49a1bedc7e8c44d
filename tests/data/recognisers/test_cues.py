"""Words near a number."""

from __future__ import annotations

import re

from lorabay.data.recognisers.cues import is_called
from lorabay.data.recognisers.view import View

CUE = re.compile("card")


def test_a_cue_counts_in_its_sentence_only() -> None:
    """Before or after, and not farther than is said."""
    text = "my card is 1234. And 5678 it was"
    assert is_called(View(text), 11, 15, CUE)
    assert not is_called(View(text), 21, 25, CUE)
    assert is_called(View("1234 is my card"), 0, 4, CUE)
    assert not is_called(View("1234 is my card"), 0, 4, CUE, after=5)
    assert not is_called(View("card: none whatsoever 1234"), 22, 26, CUE, before=10)
