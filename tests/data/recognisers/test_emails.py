"""Addresses of e-mail."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import emails
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("邮箱li.hua@example.cn，谢谢", ["li.hua@example.cn"]),
        ("发到ｌｉ＠ｅｘａｍｐｌｅ．ｃｎ", ["ｌｉ＠ｅｘａｍｐｌｅ．ｃｎ"]),
        ("john dot smith at gmail dot com", ["john dot smith at gmail dot com"]),
        ("a(at)b.com", ["a(at)b.com"]),
        ("meet me at the shop. com is down", []),
        ("@客服 在吗", []),
    ],
)
def test_an_address_is_found(text: str, pieces: list[str]) -> None:
    """Also with its signs spelt out."""
    assert found(emails.find, text) == pieces
