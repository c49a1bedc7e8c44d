"""The certificate that a server shows, followed on disk: a renewed one is served without a restart.

Connections that are open keep the certificate that they began with.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

logger = structlog.get_logger(__name__)

POLL_S = 10.0
"""Time between two looks at the files. Certificates are renewed days before they end."""

Look = tuple[tuple[int, int, int] | None, ...]
"""What tells one state of the files from another; None for one that is not there."""


class Certificate:
    """A certificate and its key on disk, and the TLS context that shows them.

    Raises SetupError if they cannot be read or are not a pair. Blocks.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._seen = self._look()
        self.context = _context(certificate, key)

    async def follow(self) -> None:
        """Take up changed files until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.reload()

    async def reload(self) -> None:
        """Show the files as they are now, if they have changed and are a pair."""
        seen = await asyncio.to_thread(self._look)
        if seen == self._seen:
            return
        self._seen = seen

        try:
            # Tried first: a load that fails half-way would leave a certificate without its key.
            await asyncio.to_thread(_context, self._certificate, self._key)
            _load(self.context, self._certificate, self._key)
        except SetupError as error:
            logger.warning("the former certificate is kept", reason=error.message)
        else:
            logger.info("new certificate", file=str(self._certificate))

    def _look(self) -> Look:
        files = (self._certificate,) if self._key is None else (self._certificate, self._key)
        return tuple(_look_at(file) for file in files)


def choose_certificate(certificate: Path | None, key: Path | None) -> Certificate | None:
    """Return the certificate of a server that speaks HTTPS, or None for one that speaks HTTP.

    Raises UsageError for a key without a certificate, SetupError for files that cannot be served.
    """
    if certificate is not None:
        return Certificate(certificate, key)
    if key is not None:
        raise UsageError("tls_key is set without tls_cert: a key alone serves nothing")
    return None


def _look_at(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, certificate, key)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    key_file = key or certificate
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise SetupError(
            f"cannot serve TLS with the certificate {certificate} and the key {key_file}: {reason}"
        ) from None
    except OSError as error:
        # Python does not say which of the two it is about.
        raise SetupError(
            f"cannot read the certificate {certificate} or the key {key_file}: {error.strerror}"
        ) from None


def _refuse_password() -> str:
    """Stand in for OpenSSL's question on the terminal, which nobody would answer."""
    raise SetupError("the key of the certificate is encrypted: store it without a password")
