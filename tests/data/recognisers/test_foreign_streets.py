"""Addresses in Latin letters as other countries write them."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.foreign_streets import find
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    "text",
    [
        "C/ Serrano 41, 28001 Madrid",
        "Rue du Bac 12, Paris",
        "Kungsgatan 8, Stockholm",
        "Hauptstr. 12, 70173 Stuttgart",
        "Carrera 7 # 71-21, Bogotá",
        "Str. Mihai Eminescu nr. 8, Cluj",
        "12 quai de la Rapée, Paris 12e",
        "Keizersgracht 241-III, Amsterdam",
        "6 Chome-10-1 Roppongi, Minato City, Tokyo",
        "No. 88, Sec. 2, Zhongxiao E. Rd., Zhongzheng Dist., Taipei 100",
        "H.No. 5-9-22, Basheerbagh, Hyderabad",
        "C-204, Sai Residency, Baner, Pune 411045",
        "221/4 Moo 5, Rawai, Phuket 83130",
        "No. 5 Jalan SS 2/24, 47300 Petaling Jaya",
        "Opp. City Mall, Link Road, Andheri West",
    ],
)
def test_a_street_is_known_by_its_kind(text: str) -> None:
    """In the words of its language."""
    assert found(find, text) == [text]


@pytest.mark.parametrize(
    "text", ["No. 88 of 100", "I am 41", "Via email", "Place 2 orders", "No. 2, please"]
)
def test_a_number_alone_is_no_street(text: str) -> None:
    """Nor a word that also is a kind of street."""
    assert not found(find, text)
