"""What a real issuer publishes, and everything that can be wrong about it."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.accounts.oidc import issuer as issuer_module
from lorabay.accounts.oidc.issuer import keys_of, read_keys
from lorabay.errors import SetupError
from tests.fixtures.issuer import Issuer


async def test_the_keys_are_read_from_where_the_issuer_says(issuer: Issuer) -> None:
    """Each is bound to its algorithm."""
    keys = await read_keys(issuer.url)
    assert {key_id: key.algorithm_name for key_id, key in keys.items()} == {"first": "RS256"}
    assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"issuer": "https://other.example"}, "another one"),
        ({"jwks_uri": "http://other.example/keys"}, "no HTTPS address"),
        ({"jwks_uri": "file:///etc/passwd"}, "no HTTPS address"),
        ({"jwks_uri": None}, "no HTTPS address"),
        ({"padding": "x" * 1_100_000}, "more than"),
    ],
)
async def test_a_description_that_leads_astray_is_refused(
    issuer: Issuer, described: dict[str, Any], words: str
) -> None:
    """To another issuer, to plain HTTP, or without end."""
    issuer.described = described
    with pytest.raises(SetupError, match=words):
        await read_keys(issuer.url)


async def test_an_issuer_that_is_ill_or_gone_is_a_setup_error(issuer: Issuer) -> None:
    """In one line."""
    issuer.is_ill = True
    with pytest.raises(SetupError, match="answers 500"):
        await read_keys(issuer.url)
    with pytest.raises(SetupError, match="cannot be reached"):
        await read_keys("http://127.0.0.1:9")


async def test_an_answer_that_does_not_end_is_left(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a byte of it comes: others wait for the same keys."""
    monkeypatch.setattr(issuer_module, "TIMEOUT_S", 0.2)
    issuer.never_ends = True
    with pytest.raises(SetupError, match="takes more than"):
        await read_keys(issuer.url)


def test_keys_that_cannot_be_used_are_passed_over(issuer: Issuer) -> None:
    """Shared secrets, keys for encryption, kinds that nobody knows, and damaged ones."""
    [good] = issuer.published()["keys"]
    bad: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
        good | {"kid": "for-encryption", "use": "enc"},
        good | {"kid": "odd", "alg": "HS256"},
        good | {"kid": "none", "alg": "none"},
        good | {"kid": "cut", "n": "!"},
        good | {"kid": 5},
        {"kty": "AKP", "kid": "of-tomorrow"},
        {},
        "text",
        None,
    ]
    assert set(keys_of({"keys": [*bad, good]})) == {"first"}
    for published in ({"keys": bad}, {"keys": {}}, {"keys": None}, {}):
        with pytest.raises(SetupError, match="publishes no key"):
            keys_of(published)
