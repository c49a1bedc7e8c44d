"""What an issuer publishes over HTTP: where its keys are, and the keys.

Answers are bounded in size and time, and redirects are not followed. Knows nothing of tokens.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import httpx
import jwt

from lorabay.accounts.oidc.addresses import discovery_of, is_safe
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping

TIMEOUT_S = 5.0
"""How long an issuer may take for everything: one that sends byte by byte would never end."""

MOST_BYTES = 1_000_000

ALGORITHMS = frozenset(
    {
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    }
)
"""Algorithms of signatures that only the issuer can make.

None in which a public key could be taken for a shared secret, and not `none`.
"""


async def read_keys(issuer: str) -> Mapping[str, jwt.PyJWK]:
    """Return the issuer's keys for signatures, by their ids; raises SetupError."""
    # In a thread: this takes 50 ms of processor time, which every stream would wait for.
    certificates = await asyncio.to_thread(httpx.create_ssl_context)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(verify=certificates, follow_redirects=False) as http,
        ):
            return await _read(http, issuer)
    except TimeoutError:
        raise SetupError(f"the issuer {issuer} takes more than {TIMEOUT_S:g} seconds") from None


def keys_of(published: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JWK set that sign with an algorithm of ours, by their ids.

    A key is bound to one algorithm here, whatever a token says: its own `alg`, or that of its type.
    Keys without an id have an empty one. Raises SetupError if there is none.
    """
    listed = published.get("keys")
    keys: dict[str, jwt.PyJWK] = {}
    for one in listed if isinstance(listed, list) else []:
        key = _key_of(one)
        if key is not None:
            keys[key.key_id or ""] = key
    if not keys:
        raise SetupError("the issuer publishes no key that tokens could be checked with")
    return keys


async def _read(http: httpx.AsyncClient, issuer: str) -> Mapping[str, jwt.PyJWK]:
    described = await _get(http, discovery_of(issuer))
    # Another one's description could lead to another one's keys.
    if described.get("issuer") != issuer:
        raise SetupError(f"the issuer {issuer} describes itself as another one")

    place = described.get("jwks_uri")
    if not isinstance(place, str) or not is_safe(place):
        raise SetupError(f"the issuer {issuer} names no HTTPS address of its keys")
    return keys_of(await _get(http, place))


def _key_of(one: object) -> jwt.PyJWK | None:
    """Return a key that signs; None for others, also of kinds that are not known."""
    if not isinstance(one, dict) or one.get("use", "sig") != "sig" or one.get("kty") == "oct":
        return None
    algorithm = one.get("alg")
    if not isinstance(one.get("kid", ""), str) or not isinstance(algorithm, str | None):
        return None
    if algorithm is not None and algorithm not in ALGORITHMS:
        return None
    try:
        key = jwt.PyJWK(one)
    # What is wrong with one key is not wrong with the others.
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None


async def _get(http: httpx.AsyncClient, url: str) -> Mapping[str, Any]:
    """Return the JSON object at a URL; raises SetupError."""
    content = b""
    try:
        async with http.stream("GET", url, headers={"accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise SetupError(f"{url} answers {answer.status_code}")
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > MOST_BYTES:
                    raise SetupError(f"{url} answers with more than {MOST_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SetupError(f"{url} cannot be reached: {type(error).__name__}") from None

    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise SetupError(f"{url} does not answer with a JSON object")
    return told
