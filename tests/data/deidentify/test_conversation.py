"""The texts of an example."""

from __future__ import annotations

import pytest

from lorabay.data.deidentify.conversation import texts_of, with_texts
from lorabay.data.example import Example


@pytest.mark.parametrize(
    "example",
    [
        Example("ask", "answer"),
        Example("ask", "answer", "more", (("first", "one"), ("second", "two")), "be brief"),
    ],
)
def test_an_example_is_its_texts(example: Example) -> None:
    """In the order in which they were said."""
    assert with_texts(texts_of(example)) == example


def test_the_order_is_that_of_the_conversation() -> None:
    """What was said first stands first."""
    example = Example("3", "5", "4", (("1", "2"),), "0")
    assert texts_of(example) == ("0", "1", "2", "3", "4", "5")
