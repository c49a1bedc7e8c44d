"""Who may call: one API key compared in constant time, or no key on a loopback address only."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, Protocol

from lorabay.errors import InvalidApiKey, PermissionDenied, SetupError

if TYPE_CHECKING:
    from starlette.datastructures import Headers


class Gate(Protocol):
    """Decides whether a request may pass."""

    def check(self, headers: Headers) -> None:
        """Raise InvalidApiKey unless the request may pass."""
        ...


class OpenGate:
    """Lets everybody pass; for servers that only this machine reaches."""

    def check(self, headers: Headers) -> None:
        """Pass."""


class KeyGate:
    """Lets pass whoever sends the key as `Authorization: Bearer KEY`."""

    def __init__(self, key: str) -> None:
        self._digest = hashlib.sha256(key.encode().strip()).digest()

    def check(self, headers: Headers) -> None:
        """Raise InvalidApiKey unless the key is right; takes the same time however wrong it is."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        # Headers are read as Latin-1: this gives back the bytes that were sent.
        sent = hashlib.sha256(key.encode("latin-1").strip()).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(sent, self._digest):
            raise InvalidApiKey(
                "No valid API key: send it as the header `Authorization: Bearer KEY`."
            )


class ClosedGate:
    """Lets nobody pass."""

    def check(self, headers: Headers) -> None:
        """Raise PermissionDenied."""
        raise PermissionDenied(
            "the admin paths are closed: start the server with --admin-key (LORABAY_ADMIN_KEY)"
        )


def choose_admin_gate(key: str | None) -> Gate:
    """Give the gate of the admin paths: its own key, or nobody."""
    return KeyGate(key) if key and key.strip() else ClosedGate()


def choose_gate(key: str | None, host: str) -> Gate:
    """Give the gate for a key; without one, raise SetupError when `host` is more than loopback."""
    if key and key.strip():
        return KeyGate(key)
    if not is_loopback(host):
        raise SetupError(
            f"refusing to listen on {host} without an API key: set --api-key (or LORABAY_API_KEY), or bind 127.0.0.1"
        )
    return OpenGate()


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
