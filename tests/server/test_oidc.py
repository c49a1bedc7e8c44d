"""The settings of an issuer, and what they make of the admin side."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers

from lorabay.accounts.roles import Role
from lorabay.api.auth import ClosedGate, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.api.token_gate import TokenGate
from lorabay.errors import UsageError
from lorabay.metrics import Metrics
from lorabay.server.oidc import admin_side, show_age
from lorabay.settings import load_settings
from tests.fixtures.issuer import AUDIENCE, Issuer


def settings(**flags: Any) -> Any:
    return load_settings(flags, environ={})


def test_without_an_issuer_the_admin_key_decides() -> None:
    """Nothing has to be followed."""
    assert isinstance(admin_side(settings(), Keyring())[0], ClosedGate)
    gate, keys = admin_side(settings(), Keyring("secret"))
    assert isinstance(gate, KeyGate)
    assert keys is None


async def test_an_issuers_tokens_open_the_admin_side(issuer: Issuer) -> None:
    """Its claim and its roles are those of the settings."""
    flags = {
        "oidc_issuer": issuer.url,
        "oidc_audience": AUDIENCE,
        "oidc_roles": ["a=b=operator", "staff=viewer"],
        "oidc_groups_claim": "realm.roles",
    }
    gate, keys = admin_side(settings(**flags), Keyring())
    assert isinstance(gate, TokenGate)
    assert keys is not None
    token = issuer.token(realm={"roles": ["a=b"]})
    headers = Headers({"authorization": f"Bearer {token}"})
    await gate.learn(headers)
    assert gate.identify(headers).role is Role.OPERATOR

    metrics = Metrics(CollectorRegistry())
    show_age(settings(**flags), keys, metrics)
    labels = {"issuer": issuer.url}
    age = metrics.registry.get_sample_value("lorabay_issuer_keys_age_seconds", labels)
    assert age == pytest.approx(keys.age_s, abs=600)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"oidc_audience": "x"}, "need --oidc-issuer"),
        ({"oidc_roles": "staff=viewer"}, "need --oidc-issuer"),
        ({"oidc_issuer": "http://login.example.com"}, "https://"),
        ({"oidc_issuer": "https://login.example.com?x"}, "without a query"),
        ({"oidc_issuer": "https://x.example"}, "--oidc-audience"),
        ({"oidc_issuer": "https://x.example", "oidc_audience": "x"}, "--oidc-roles"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags: dict[str, Any], words: str) -> None:
    """Before anything is served."""
    with pytest.raises(UsageError, match=words):
        admin_side(settings(**flags), Keyring("secret"))


@pytest.mark.parametrize(
    "roles", ["staff", "=viewer", "staff=root", ["staff=viewer=no"], 5, {"": "owner"}]
)
def test_roles_that_are_none_are_refused(roles: Any) -> None:
    """By the settings."""
    with pytest.raises(UsageError, match="oidc_roles"):
        settings(oidc_roles=roles)
