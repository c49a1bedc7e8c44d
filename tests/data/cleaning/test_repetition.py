"""Answers in a loop."""

from __future__ import annotations

import pytest

from lorabay.data.cleaning.repetition import is_repetitive
from lorabay.data.example import Example


@pytest.mark.parametrize(
    "answer",
    [
        "Please wait. " * 20,
        "请稍等，" * 40,
        "Try again.\nWait.\n" * 6,
    ],
)
def test_a_loop_is_found(answer: str) -> None:
    """In words, and in lines."""
    assert is_repetitive(Example("How?", answer.strip())) is not None


@pytest.mark.parametrize(
    "answer",
    [
        "No no no.",
        "Step 1: open it.\nStep 2: close it.\nStep 3: open it again.\nStep 4: wait for it to end.",
        "-" * 200 + "\nA table of figures",
    ],
)
def test_a_list_is_no_loop(answer: str) -> None:
    """Nor is a line of dashes, nor a short answer."""
    assert is_repetitive(Example("How?", answer)) is None
