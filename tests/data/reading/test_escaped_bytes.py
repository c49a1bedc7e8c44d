"""Bytes that are not UTF-8."""

from __future__ import annotations

import pytest

from lorabay.data.reading.escaped_bytes import decoded, has_escaped_bytes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("我的订单什么时候发货？", "gb18030"),
        ("Order 4711: 退货", "gb18030"),
        ("Le café près de l'école est fermé", "cp1252"),
        ("Die Größe fällt klein aus", "cp1252"),
        ("It costs 5 €", "cp1252"),
    ],
)
def test_the_encoding_is_guessed(text: str, encoding: str) -> None:
    """Between Chinese and Western text, which differ in how their high bytes stand."""
    spoiled = text.encode(encoding).decode("utf-8", "surrogateescape")
    assert has_escaped_bytes(spoiled)
    assert decoded(spoiled) == (text, encoding)


def test_text_that_was_decoded_has_no_such_bytes() -> None:
    """Whatever letters it has."""
    assert not has_escaped_bytes("plain, 中文, 🙂")


def test_what_is_in_no_encoding_is_none() -> None:
    """Bytes that neither encoding has."""
    assert decoded(b"\x81 \x8d \xff \x90".decode("utf-8", "surrogateescape")) is None


@pytest.mark.parametrize("stray", [b"\xe9", b"\xe4\xbd", b"\xff"])
@pytest.mark.parametrize(
    "text", ["我的订单", "Le café près", "Où est la carte à puce ?", "Где мой заказ", "ok 🙂"]
)
def test_what_is_utf8_but_for_some_bytes_is_in_no_encoding(text: str, stray: bytes) -> None:
    """A character that was cut does not spoil the others of its line."""
    for data in (text.encode() + stray, stray + b" " + text.encode()):
        assert decoded(data.decode("utf-8", "surrogateescape")) is None
