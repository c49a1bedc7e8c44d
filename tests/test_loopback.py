"""Which hosts are this very machine."""

from __future__ import annotations

import pytest

from lorabay.loopback import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_this_machine_has_some_names(host: str) -> None:
    """Its addresses of either kind, and one word."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.7", "example.org", "", "localhost.example.org"]
)
def test_any_other_host_is_not_this_machine(host: str) -> None:
    """Nor is an address that means all of its own."""
    assert not is_loopback(host)
