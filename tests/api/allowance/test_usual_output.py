"""The usual length of answers."""

from __future__ import annotations

import random

from lorabay.api.allowance.usual_output import (
    ADAPTERS,
    ENOUGH,
    FIRST_TOKENS,
    REMEMBERED,
    UsualOutput,
)


def test_nineteen_of_twenty_answers_are_not_longer() -> None:
    """Of the last ones, and for each adapter by itself."""
    drawn, usual = random.Random(1), UsualOutput()
    for _ in range(500):
        usual.note("finance", drawn.randrange(1, 101))
    assert 85 <= usual.of("finance") <= 100
    assert usual.of("shop") == FIRST_TOKENS


def test_a_few_answers_say_little() -> None:
    """And what was long ago says nothing."""
    usual = UsualOutput()
    for _ in range(ENOUGH - 1):
        usual.note("finance", 0)
    assert usual.of("finance") == FIRST_TOKENS
    for tokens in [900] * REMEMBERED + [0] * REMEMBERED:
        usual.note("finance", tokens)
    assert usual.of("finance") == 1


def test_names_that_come_once_are_forgotten() -> None:
    """Clients may think of new mixtures all day."""
    usual = UsualOutput()
    for _ in range(ENOUGH):
        usual.note("first", 5)
    for number in range(ADAPTERS):
        usual.note(f"mix-{number}", 1)
    assert usual.of("first") == FIRST_TOKENS
    assert len(usual._last) == ADAPTERS
