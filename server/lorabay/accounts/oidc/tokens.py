"""Tokens: who sends one, and which role they have.

A token is a JWT (RFC 7519) that the issuer has signed for our audience. Knows nothing of HTTP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import jwt

from lorabay.accounts.callers import Caller
from lorabay.accounts.oidc.issuer import ALGORITHMS
from lorabay.accounts.roles import role_of
from lorabay.errors import InvalidApiKey, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.roles import Role

MOST_CHARS = 16_384
"""Characters of a token: headers of HTTP have no more."""

NEEDED = ("exp", "iss", "aud", "sub")
"""Claims that a token must have: one without an end would be good for ever."""

SUBJECT_CHARS = 120

_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)

_SAID: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "The token has expired.",
    jwt.ImmatureSignatureError: "The token is not valid yet.",
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.InvalidIssuerError: "The token is of another issuer.",
    jwt.MissingRequiredClaimError: f"The token lacks one of the claims {', '.join(NEEDED)}.",
}
"""What is said about a token; about all else only that it is not valid."""


class Keys(Protocol):
    """The issuer's keys."""

    def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key of an id; None if it is unknown."""
        ...

    async def learn(self, key_id: str) -> None:
        """Ask the issuer for a key that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Which tokens are taken, and what their groups may do."""

    issuer: str
    audience: str
    roles: Mapping[str, Role]
    groups_claim: str = "groups"
    leeway_s: float = 60.0


class Tokens:
    """Checks tokens with the issuer's keys."""

    def __init__(self, keys: Keys, rules: Rules) -> None:
        self._keys = keys
        self._rules = rules
        self._jwt = jwt.PyJWT({"enforce_minimum_key_length": True})

    async def learn(self, text: str) -> None:
        """Ask the issuer for the key of a token, if that is not known."""
        key_id = _key_id(text)
        if key_id is not None:
            await self._keys.learn(key_id)

    def identify(self, text: str) -> Caller:
        """Return the administrator who sends a token.

        Raises InvalidApiKey for a token that is not valid here, PermissionDenied for one whose
        groups have no role, StorageUnavailable if it cannot be checked now.
        """
        claims = self._claims(text)
        groups = groups_of(claims, self._rules.groups_claim)
        role = role_of(groups, self._rules.roles)
        if role is None:
            raise PermissionDenied("none of the token's groups has a role on this server")
        return Caller(f"oidc:{_subject(claims)}", role=role)

    def _claims(self, text: str) -> dict[str, Any]:
        key_id = _key_id(text)
        key = None if key_id is None else self._keys.key(key_id)
        if key is None:
            raise InvalidApiKey("The token is not signed with a key of the issuer.")

        rules = self._rules
        try:
            claims: dict[str, Any] = self._jwt.decode(
                text,
                # Bound to its own algorithm: what the token says must be the same.
                key,
                algorithms=sorted(ALGORITHMS),
                audience=rules.audience,
                issuer=rules.issuer,
                leeway=rules.leeway_s,
                options={"require": list(NEEDED)},
            )
        # Whoever signs rightly may still write numbers that are none.
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidApiKey(_said(error)) from None
        return claims


def looks_like_token(text: str) -> bool:
    """Return whether somebody meant this to be a token."""
    return len(text) <= MOST_CHARS and _FORM.fullmatch(text) is not None


def groups_of(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """Return the groups that a token names in a claim, of which dots lead into objects."""
    found: object = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None

    if isinstance(found, str):
        return (found,)
    if not isinstance(found, list):
        return ()
    return tuple(group for group in found if isinstance(group, str))


def _subject(claims: Mapping[str, Any]) -> str:
    """Return who it is, fit for logs; subjects are ASCII and short (OpenID Connect Core, 2)."""
    subject = str(claims["sub"])
    if not subject or len(subject) > SUBJECT_CHARS or not subject.isprintable():
        raise InvalidApiKey("The token's subject is empty, too long, or cannot be printed.")
    return subject


def _key_id(text: str) -> str | None:
    """Return the id of the key that a token says it is signed with; None if it is no token."""
    if not looks_like_token(text):
        return None
    try:
        key_id = jwt.get_unverified_header(text).get("kid", "")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return key_id if isinstance(key_id, str) else None


def _said(error: Exception) -> str:
    for kind, words in _SAID.items():
        if isinstance(error, kind):
            return words
    return "The token is not valid here."
