"""The gate where administrators come with an admin key or a token."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from lorabay.accounts.callers import Caller
from lorabay.accounts.roles import Role
from lorabay.api.auth import ADMIN
from lorabay.api.keyring import Keyring
from lorabay.api.token_gate import TokenGate
from lorabay.errors import InvalidApiKey

TOKEN = "head.claims.signature"
ADA = Caller("oidc:ada", role=Role.VIEWER)


class Known:
    """Knows one token."""

    def __init__(self) -> None:
        self.learnt: list[str] = []

    def identify(self, text: str) -> Caller:
        if text != TOKEN:
            raise InvalidApiKey("The token is not valid here.")
        return ADA

    async def learn(self, text: str) -> None:
        self.learnt.append(text)


def headers(**values: str) -> Headers:
    return Headers({name.replace("_", "-"): value for name, value in values.items()})


def test_a_key_is_the_owners_and_a_token_its_own() -> None:
    """The admin key works where Anthropic's clients send it, too; a token is a bearer's."""
    gate = TokenGate(Keyring("a.b.c"), Known())
    assert gate.identify(headers(authorization="Bearer a.b.c")) == ADMIN
    assert gate.identify(headers(x_api_key="a.b.c")) == ADMIN
    assert gate.identify(headers(authorization=f"bearer  {TOKEN}")) == ADA


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer x.y.z"},
        {"authorization": f"Basic {TOKEN}"},
        {"x_api_key": TOKEN},
        {"x_api_key": ""},
    ],
)
def test_nothing_else_passes(sent: dict[str, str]) -> None:
    """Also where there is no admin key at all."""
    for keys in (Keyring(), Keyring("secret")):
        with pytest.raises(InvalidApiKey):
            TokenGate(keys, Known()).identify(headers(**sent))


async def test_what_a_request_carries_is_learnt_of() -> None:
    """Before it is checked."""
    known = Known()
    await TokenGate(Keyring(), known).learn(headers(authorization=f"Bearer {TOKEN}"))
    assert known.learnt == [TOKEN]
