"""The socket that a server listens on."""

from __future__ import annotations

import contextlib
import socket

from lorabay.errors import SetupError


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; raises SetupError if it is not available."""
    with contextlib.ExitStack() as on_failure:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listener = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            # Two sockets may be bound to one port as long as neither listens: the second starter
            # must fail here.
            listener.listen()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SetupError(f"cannot listen on {host}:{port}: {reason}") from None
        on_failure.pop_all()
    return listener
