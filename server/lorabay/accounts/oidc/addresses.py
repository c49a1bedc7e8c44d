"""URLs of an issuer: which ones may be asked.

What comes over plain HTTP anybody on the way may change, so only an issuer on this machine may
speak it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from lorabay.loopback import is_loopback


def is_safe(url: str) -> bool:
    """Return whether a URL is one of HTTPS, or of this machine, with nothing odd about it."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        has_credentials = parts.username is not None or parts.password is not None
    except ValueError:
        return False
    if not host or has_credentials or parts.fragment or not url.isascii():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def discovery_of(issuer: str) -> str:
    """Return where an issuer describes itself (OpenID Connect Discovery 1.0, section 4)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"
