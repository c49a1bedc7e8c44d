"""Addresses of the internet."""

from __future__ import annotations

import pytest

from lorabay.data.recognisers import ip_addresses
from tests.data.recognisers.found import found


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("地址2607:f8b0:4005:805::200e也是", ["2607:f8b0:4005:805::200e"]),
        ("从121.69.44.18登录", ["121.69.44.18"]),
        ("IPv6 2607:f8b0:4005:805::200e is mine", ["2607:f8b0:4005:805::200e"]),
        ("在192.168.1.1里改，DNS用8.8.8.8", []),
        ("version 10.1.22.63 and v11.2.3.4", []),
        ("at 10:15:22 and 1.2.3", []),
    ],
)
def test_what_belongs_to_somebody_is_found(text: str, pieces: list[str]) -> None:
    """Routers, public name servers and versions stay."""
    assert found(ip_addresses.find, text) == pieces
