"""The socket that a server listens on."""

from __future__ import annotations

import socket

import pytest

from lorabay.errors import SetupError
from lorabay.server.listener import bind


def test_a_free_port_is_bound() -> None:
    """Port 0 gives a port that can be told to clients."""
    with bind("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_a_port_in_use_is_refused_with_its_address() -> None:
    """The message says which address cannot be had, and why."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SetupError, match=f"127.0.0.1:{port}: Address already in use"):
            bind("127.0.0.1", port)


def test_of_two_starters_on_one_port_the_second_is_refused() -> None:
    """The second starter fails at once, not when the first begins to answer."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SetupError, match="Address already in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.7", "a" * 100, ""])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    """Neither another machine's address nor a senseless one is more than a setup error."""
    with pytest.raises(SetupError, match="cannot listen on"):
        bind(host, 0)
