"""What asks for an address."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.address_questions import WHERE_ASKED


@pytest.mark.parametrize(
    "text",
    [
        "收货地址发我一下",
        "您住哪里？",
        "几单元？",
        "And the zip?",
        "Where should we deliver?",
        "Can I get your postcode?",
        "ZIP code?",
    ],
)
def test_a_question_for_an_address_is_one(text: str) -> None:
    """In either language."""
    assert WHERE_ASKED.search(text)


@pytest.mark.parametrize("text", ["怎么退货？", "How long does it take?", "Your order shipped."])
def test_another_question_is_none(text: str) -> None:
    """Of what, and how."""
    assert WHERE_ASKED.search(text) is None
