"""The certificate that a server shows, followed on disk: a renewed one is served without a restart.

Connections that are open keep the certificate that they began with; whoever makes a new one takes
the context as it is then.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import structlog

from lorabay.errors import SetupError, UsageError
from lorabay.files.followed import FollowedFiles

if TYPE_CHECKING:
    from pathlib import Path

logger = structlog.get_logger(__name__)


class Certificate:
    """A certificate and its key on disk, and the TLS context that shows them: `context`.

    Raises SetupError if they cannot be read or are not a pair. Blocks.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._files = FollowedFiles(certificate, *(() if key is None else (key,)))
        self.context = _context(certificate, key)

    async def follow(self) -> None:
        """Take up changed files until cancelled."""
        await self._files.follow(self._take_up)

    async def reload(self) -> None:
        """Show the files as they are now, if they have changed and are a pair."""
        if await self._files.have_changed():
            await self._take_up()

    async def _take_up(self) -> None:
        try:
            # Made anew: a load that fails half-way would leave a certificate without its key.
            self.context = await self._files.read(_context, self._certificate, self._key)
        except SetupError as error:
            logger.warning("the former certificate is kept", reason=error.message)
        else:
            logger.info("new certificate", file=str(self._certificate))


def choose_certificate(certificate: Path | None, key: Path | None) -> Certificate | None:
    """Return the certificate of a server that speaks HTTPS, or None for one that speaks HTTP.

    Raises UsageError for a key without a certificate, SetupError for files that cannot be served.
    """
    if certificate is not None:
        return Certificate(certificate, key)
    if key is not None:
        raise UsageError("tls_key is set without tls_cert: a key alone serves nothing")
    return None


def _context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
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
    return context


def _refuse_password() -> str:
    """Stand in for OpenSSL's question on the terminal, which nobody would answer."""
    raise SetupError("the key of the certificate is encrypted: store it without a password")
