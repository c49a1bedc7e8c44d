"""The gate of the admin paths where administrators also come with tokens of an issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lorabay.api.auth import ADMIN, NO_VALID_KEY, sent_keys
from lorabay.errors import InvalidApiKey

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from lorabay.accounts.callers import Caller
    from lorabay.api.keyring import Keyring


class KnownTokens(Protocol):
    """Tokens of an issuer, as a server can check them."""

    def identify(self, text: str) -> Caller:
        """Return who sends a token; raises LorabayError for one who may not pass."""
        ...

    async def learn(self, text: str) -> None:
        """Ask the issuer for what is not known of a token."""
        ...


class TokenGate:
    """Lets pass whoever sends an admin key, or a token of the issuer."""

    def __init__(self, keys: Keyring, tokens: KnownTokens) -> None:
        self._keys = keys
        self._tokens = tokens

    async def learn(self, headers: Headers) -> None:
        """Ask the issuer for what is not known of the token that a request carries, if any."""
        await self._tokens.learn(_bearer(headers))

    def identify(self, headers: Headers) -> Caller:
        """Return who sends the request; takes the same time however wrong a key is."""
        # A list: also the second key is compared where the first one is right.
        fits = [self._keys.holds(key) for key in sent_keys(headers)]
        if any(fits):
            return ADMIN

        token = _bearer(headers)
        if token.count(".") != 2:
            raise InvalidApiKey(NO_VALID_KEY)
        return self._tokens.identify(token)


def _bearer(headers: Headers) -> str:
    return sent_keys(headers)[0].decode("latin-1").strip()
