"""Salts of the prefix cache, so that no tenant learns from it what another one has asked.

A prompt that begins like a former one is answered sooner, which a client can measure. vLLM's
`cache_salt` parts the cache: only requests of one salt share what is in it. Every tenant has a salt
of its own, made from a secret of this server, so no client can know or choose that of another one.
A client's own `cache_salt` parts the cache of its tenant further. Callers without a tenant share
what has no salt, as if there were no tenants.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from lorabay.accounts.callers import DEFAULT_TENANT
from lorabay.errors import InvalidRequest

if TYPE_CHECKING:
    from lorabay.serving.engine import Body

FIELD = "cache_salt"
SECRET_BYTES = 32


class CacheSalts:
    """The salts of one server; without a `secret` it makes up one, as each start does."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(SECRET_BYTES)

    def salted(self, body: Body, tenant: str) -> Body:
        """Return `body` with the salt of its tenant, which a client cannot set.

        Raises InvalidRequest for a `cache_salt` that is no text.
        """
        if tenant == DEFAULT_TENANT:
            return body

        own = body.get(FIELD)
        if own is not None and (not isinstance(own, str) or not own):
            raise InvalidRequest("`cache_salt` must be a text that is not empty", param=FIELD)
        return body | {FIELD: self._salt(tenant, own or "")}

    def _salt(self, tenant: str, own: str) -> str:
        # The length parts the two: `ab` with `c` is not `a` with `bc`.
        message = f"{len(tenant)}:{tenant}{own}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
