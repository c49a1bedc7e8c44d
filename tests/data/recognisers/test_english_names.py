"""Names in Latin letters."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.english_names import find
from lorabay.data.recognisers.view import View
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("My name is Xochitl Quispe and I paid", ["Xochitl Quispe"]),
        ("Dear Oluwaseun, it has shipped", ["Oluwaseun"]),
        ("Jessica promised me a refund", ["Jessica"]),
        ("Hi Will, will you be home?", ["Will"]),
        ("Mrs. Whitfield's oven", ["Whitfield"]),
        ("Will called about the router", ["Will"]),
        ("Bob haircut, Calvin Klein belt, Aston Martin poster", []),
        ("Lucas van der Berg wrote", ["Lucas van der Berg"]),
        ("Please ask Zhang Wei in accounts", ["Zhang Wei"]),
        ("联系人：Mary Chen，分机802", ["Mary Chen"]),
        ("Thanks, Greg", ["Greg"]),
        ("Leila and Amira called", ["Leila", "Amira"]),
        ("unlock account of Ignatius Webb", ["Ignatius Webb"]),
        ("Let Morwenna know that I paid", ["Morwenna"]),
        ("Shabnam Darvishi is out of office", ["Shabnam Darvishi"]),
        ("Cheers,\nRufus", ["Rufus"]),
        ("请把工单转给Grace", ["Grace"]),
        ("@Kevin 看一下", ["Kevin"]),
        ("SMITH先生的包裹丢了", ["SMITH"]),
        ("Claimant Jacqueline Thorne was hurt", ["Jacqueline Thorne"]),
        ("Prof Green and Mr Pope agree", ["Green", "Pope"]),
        ("Park Seo-joon and Wong Siu Ming", ["Park Seo-joon", "Wong Siu Ming"]),
        ("Nguyễn Văn Hùng paid", ["Nguyễn Văn Hùng"]),
        ("J.R. Whitfield signed", ["J.R. Whitfield"]),
        ("Tanaka-san will be late", ["Tanaka-san"]),
        ("my grandson Zorvian broke it", ["Zorvian"]),
        ("Zorvian is out of office", ["Zorvian"]),
        ("Sent from my iPhone\n\nZorvian", ["Zorvian"]),
        ("--\nZorvian Daly | Support", ["Zorvian Daly"]),
        ("Dear Mr President, Dear Sir", []),
        ("- Overpayments can be made\n- Heron costs more", []),
        ("The Heron reports an error", []),
        ("is GUI or MyApp still available?", []),
        ("Will you refund me? Mark the box in May.", []),
        ("I'm Confused, this is Great", []),
        ("Dear Customer, Hi Team", []),
        ("Best Buy and American Express", []),
        ("Ask Support, then contact Billing", []),
        ("HTTP ERROR FROM SERVER", []),
    ],
)
def test_names_are_told_from_words(text: str, pieces: list[str]) -> None:
    """By what stands around them and by lists."""
    assert found(find, text) == pieces


def test_an_answer_may_be_a_name_and_nothing_else() -> None:
    """If it was asked for."""
    assert not list(find(View("Quispe Mamani")))
    assert [one.end for one in find(View("Quispe Mamani", is_answer=True))] == [13]
