"""Numbers that stay by rule."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers.finder import Finder
from lorabay.data.recognisers.finding import Finding, Kind
from lorabay.data.recognisers.kept import without_kept
from lorabay.data.recognisers.table import RECOGNISERS
from lorabay.data.recognisers.view import View


@pytest.mark.parametrize(
    ("text", "number", "stays"),
    [
        ("订单号13812345678，未发货", "13812345678", True),
        ("工单编号：13812345678", "13812345678", True),
        ("Order number 4111111111111111 is late", "4111111111111111", True),
        ("Ticket #13800138000", "13800138000", True),
        ("firmware 121.69.44.18", "121.69.44.18", True),
        ("价格13812345678元", "13812345678", True),
        ("订单收货电话13812345678", "13812345678", False),
        ("my order, call 6502530000", "6502530000", False),
        ("Order 4711. Call me on 212-553-8116 after six.", "212-553-8116", False),
        ("It's about order 4711. I paid with 4111 1111 1111 1111.", "4111 1111 1111 1111", False),
        ("Order no. 4111 1111 1111 1111 is late", "1111 1111 1111", True),
        ("订单号BW-13812345678", "13812345678", True),
        ("call TEL-13812345678", "13812345678", False),
    ],
)
def test_a_number_that_is_named_so_stays(text: str, number: str, stays: bool) -> None:
    """A phone number in the text of an order is none."""
    at = text.index(number)
    finding = Finding(Kind.PHONE, at, at + len(number), 0.9)
    assert without_kept([finding], View(text)) == ([] if stays else [finding])


def test_names_do_not_stay() -> None:
    """Only what a number could be taken for."""
    finding = Finding(Kind.NAME, 3, 5, 0.9)
    assert without_kept([finding], View("订单号王芳")) == [finding]


@pytest.mark.parametrize("number", ["BW-994138", "AP202653824158"])
def test_the_letters_of_a_code_are_no_name(number: str) -> None:
    """Also where somebody was asked for a name, and told it with a number of an order."""
    findings = Finder(RECOGNISERS).find(
        ["您好，请问怎么称呼？请把订单号发我看一下。", f"我叫钟永康，{number}。"]
    )[1]
    assert [(one.entity_type, one.start) for one in findings] == [(Kind.NAME, 2)]
