"""Connections of a cluster that Ray encrypts: ours are encrypted as its own, by the same files.

Ray's names of the environment: RAY_USE_TLS, RAY_TLS_SERVER_CERT, RAY_TLS_SERVER_KEY and
RAY_TLS_CA_CERT. Each side shows a certificate of the cluster's own authority. Names are not
compared, since hosts go by addresses that their certificates need not have.
"""

from __future__ import annotations

import os
import ssl


def listening() -> ssl.SSLContext | None:
    """Return how to listen: None in a cluster that is not encrypted."""
    return _context(ssl.PROTOCOL_TLS_SERVER)


def connecting() -> ssl.SSLContext | None:
    """Return how to connect: None in a cluster that is not encrypted."""
    return _context(ssl.PROTOCOL_TLS_CLIENT)


def _context(protocol: int) -> ssl.SSLContext | None:
    if os.environ.get("RAY_USE_TLS", "0").lower() not in {"1", "true"}:
        return None
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(os.environ["RAY_TLS_CA_CERT"])
    context.load_cert_chain(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
    return context
