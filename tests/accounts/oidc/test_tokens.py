"""Tokens that a real issuer signed, and every way in which somebody else could make one."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, strategies as st

from lorabay.accounts.oidc.issuer import keys_of
from lorabay.accounts.oidc.tokens import Rules, Tokens, groups_of, looks_like_token
from lorabay.accounts.roles import Role
from lorabay.errors import InvalidApiKey, PermissionDenied
from tests.fixtures.issuer import AUDIENCE, Issuer

ROLES = {"staff": Role.VIEWER, "ops": Role.OPERATOR, "board": Role.OWNER}
LEEWAY_S = 30


class Keys:
    """The keys that an issuer publishes now."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self.learnt: list[str] = []

    def key(self, key_id: str) -> jwt.PyJWK | None:
        return keys_of(self._issuer.published()).get(key_id)

    async def learn(self, key_id: str) -> None:
        self.learnt.append(key_id)


@pytest.fixture
def keys(issuer: Issuer) -> Keys:
    return Keys(issuer)


@pytest.fixture
def tokens(issuer: Issuer, keys: Keys) -> Tokens:
    return Tokens(keys, Rules(issuer.url, AUDIENCE, ROLES, leeway_s=LEEWAY_S))


def test_a_token_says_who_it_is_and_which_role(issuer: Issuer, tokens: Tokens) -> None:
    """The greatest of their groups'; also with a key of another kind after a rotation."""
    caller = tokens.identify(issuer.token())
    assert (caller.id, caller.role) == ("oidc:ada", Role.OPERATOR)
    assert tokens.identify(issuer.token(groups=["board", "ops"])).role is Role.OWNER
    assert tokens.identify(issuer.token(aud=["other", AUDIENCE])).role is Role.OPERATOR

    before = issuer.token()
    issuer.rotate()
    assert tokens.identify(issuer.token()).id == "oidc:ada"
    with pytest.raises(InvalidApiKey, match="not signed with a key"):
        tokens.identify(before)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"groups": ["x" * 20_000]}, "not signed with a key"),
        ({"exp": -LEEWAY_S - 5}, "has expired"),
        ({"nbf": LEEWAY_S + 60}, "not valid yet"),
        ({"iat": LEEWAY_S + 60}, "not valid"),
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "lacks one of the claims"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": None}, "lacks one of the claims"),
        ({"exp": None}, "lacks one of the claims"),
        ({"sub": None}, "lacks one of the claims"),
        ({"sub": ""}, "subject"),
        ({"sub": "a\x1b[2J"}, "subject"),
        ({"sub": "x" * 500}, "subject"),
        ({"sub": 5}, "not valid here"),
        ({"exp": "never"}, "not valid here"),
        ({"exp": float("inf")}, "not valid here"),
    ],
)
def test_a_token_that_is_not_for_us_or_not_for_now_is_refused(
    issuer: Issuer, tokens: Tokens, claims: dict[str, Any], words: str
) -> None:
    """With what is wrong, where that is no help to a forger."""
    now = int(time.time())
    given_ = {
        name: value + now if isinstance(value, int) and name in ("exp", "nbf", "iat") else value
        for name, value in claims.items()
    }
    with pytest.raises(InvalidApiKey, match=words):
        tokens.identify(issuer.token(**given_))


def test_clocks_may_differ_a_little(issuer: Issuer, tokens: Tokens) -> None:
    """By less than the leeway, in both directions."""
    now = int(time.time())
    assert tokens.identify(issuer.token(exp=now - LEEWAY_S // 2)).id == "oidc:ada"
    later = now + LEEWAY_S // 2
    assert tokens.identify(issuer.token(nbf=later, iat=later)).id == "oidc:ada"


def test_groups_without_a_role_may_do_nothing(issuer: Issuer, tokens: Tokens) -> None:
    """They are known, and refused."""
    for groups in (["others"], [], None, "others", {"staff": True}, [["staff"], 5]):
        with pytest.raises(PermissionDenied, match="none of the token"):
            tokens.identify(issuer.token(groups=groups))


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_no_algorithm_but_the_keys_own_is_taken(issuer: Issuer, tokens: Tokens) -> None:
    """Not `none`, not the public key as a shared secret, not another algorithm of the same key."""
    claims, key = issuer.claims(), issuer.signing["first"]
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    header = {"kid": "first", "typ": "JWT"}
    unsigned = f"{encoded(header | {'alg': 'none'})}.{encoded(claims)}."
    forged = [
        unsigned,
        f"{encoded(header)}.{encoded(claims)}.",
        *(
            f"{encoded(header | {'alg': word})}.{issuer.token().partition('.')[2]}"
            for word in ("NONE", "none", "HS256", "RS512", "ES256", "", None, 5)
        ),
        f"{encoded(header | {'alg': 'RS256', 'crit': ['x']})}.{issuer.token().partition('.')[2]}",
        jwt.encode(claims, key, "PS256", headers={"kid": "first"}),
        jwt.encode(claims, key, "RS512", headers={"kid": "first"}),
    ]
    secret = jwt.PyJWS().encode(b"{}", b"x" * 64, "HS256", headers={"kid": "first"})
    signing_input = f"{encoded(header | {'alg': 'HS256'})}.{encoded(claims)}".encode()
    hmac = jwt.get_algorithm_by_name("HS256").sign(signing_input, public)
    signature = base64.urlsafe_b64encode(hmac).rstrip(b"=").decode()
    forged += [secret, f"{signing_input.decode()}.{signature}"]
    for token in forged:
        with pytest.raises(InvalidApiKey):
            tokens.identify(token)


def test_nobody_elses_signature_is_taken(issuer: Issuer, tokens: Tokens) -> None:
    """Neither with a key that the token itself brings, nor with one that it points to."""
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = jwt.get_algorithm_by_name("RS256").to_jwk(stranger.public_key(), as_dict=True)  # type: ignore[call-overload]
    for headers in (
        {"kid": "first"},
        {"kid": "first", "jwk": jwk},
        {"kid": "first", "jku": "https://evil.example/keys"},
        {"kid": "../../first"},
        {},
    ):
        token = jwt.encode(issuer.claims(), stranger, "RS256", headers=headers)
        with pytest.raises(InvalidApiKey):
            tokens.identify(token)


def test_a_changed_token_is_refused(issuer: Issuer, tokens: Tokens) -> None:
    """Its claims are signed."""
    head, _, signature = issuer.token().split(".")
    for claims in (issuer.claims(groups=["board"]), [], "text"):
        with pytest.raises(InvalidApiKey):
            tokens.identify(f"{head}.{encoded(claims)}.{signature}")


@given(st.text(max_size=300))
def test_no_text_is_too_odd(text: str) -> None:
    """It is refused, whatever it is."""

    class NoKeys:
        def key(self, _: str) -> jwt.PyJWK | None:
            return None

        async def learn(self, _: str) -> None:
            raise AssertionError

    tokens = Tokens(NoKeys(), Rules("https://x.example", AUDIENCE, ROLES))
    for one in (text, f"{text}.{text}.", f"{encoded({'kid': text})}.e30.x"):
        with pytest.raises(InvalidApiKey):
            tokens.identify(one)


async def test_the_issuer_is_asked_for_keys_of_tokens_alone(
    issuer: Issuer, keys: Keys, tokens: Tokens
) -> None:
    """Not for what cannot be one."""
    for text in ("", "key of the administrator", "a.b", "x" * 20_000, "a.b.c", f"{'[' * 9000}.a.b"):
        await tokens.learn(text)
    assert keys.learnt == []
    await tokens.learn(issuer.token())
    assert keys.learnt == ["first"]
    assert looks_like_token(issuer.token())


@pytest.mark.parametrize(
    ("claim", "groups"),
    [
        ("groups", ("a", "b")),
        ("realm_access.roles", ("c",)),
        ("https://x.example/groups", ("d",)),
        ("one", ("e",)),
        ("nothing", ()),
        ("groups.x", ()),
        ("", ()),
    ],
)
def test_groups_are_found_where_issuers_put_them(claim: str, groups: tuple[str, ...]) -> None:
    """In a claim, in one whose name has dots, or in an object."""
    claims = {
        "groups": ["a", "b", 5],
        "realm_access": {"roles": ["c"]},
        "https://x.example/groups": ["d"],
        "one": "e",
    }
    assert groups_of(claims, claim) == groups
