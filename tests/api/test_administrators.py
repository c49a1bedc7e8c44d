"""Which role each admin path needs, on an application with a real issuer."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute

from lorabay.accounts.oidc.issuer import read_keys
from lorabay.accounts.oidc.issuer_keys import IssuerKeys
from lorabay.accounts.oidc.tokens import Rules, Tokens
from lorabay.accounts.roles import Role
from lorabay.api.admin import admin_router
from lorabay.api.admin_changes import changes_router
from lorabay.api.admin_keys import keys_router
from lorabay.api.admin_limits import limits_router
from lorabay.api.admin_rollouts import rollouts_router
from lorabay.api.admin_uploads import uploads_router
from lorabay.api.administrators import NEEDED
from lorabay.api.audit import audit_router
from lorabay.api.auth import OpenGate
from lorabay.api.keyring import Keyring
from lorabay.api.live.stream import live_router
from lorabay.api.token_gate import TokenGate
from lorabay.api.usage import usage_router
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import AdapterConflict
from tests.api.conftest import client_of, make_app, parts_over
from tests.docs.pages import page, rows
from tests.fixtures.issuer import AUDIENCE, Issuer

GROUPS = {f"{role}s": role for role in Role}
REACHED = AdapterConflict("the operation was reached")


class Reached:
    """Whatever is asked of it was reached."""

    def __getattr__(self, name: str) -> Any:
        raise REACHED


def routers(gate: Any) -> list[APIRouter]:
    async def answer(_: object) -> Any:
        raise REACHED

    reached = cast("Any", Reached())
    return [
        admin_router(reached, gate),
        rollouts_router(reached, gate),
        changes_router(reached, reached, gate),
        uploads_router(reached, gate),
        live_router(reached, gate),
        keys_router(reached, gate, tuple),
        limits_router(reached, gate),
        usage_router(answer, gate),
        audit_router(answer, gate),
    ]


def operations() -> list[str]:
    """Return method and path of every admin path."""
    routes = [route for router in routers(OpenGate()) for route in router.routes]
    return [
        f"{method} {route.path}"
        for route in routes
        if isinstance(route, APIRoute)
        for method in route.methods
    ]


@pytest.fixture
async def http(registry: Registry, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    keys = IssuerKeys(partial(read_keys, issuer.url), max_age_s=60)
    gate = TokenGate(Keyring("admin-key"), Tokens(keys, Rules(issuer.url, AUDIENCE, GROUPS)))
    app = make_app(parts_over(registry), routers=routers(gate))
    async with client_of(app) as client:
        yield client


BODIES = {
    "POST /admin/keys": {"name": "CI"},
    "PUT /admin/limits": {"tenant": "acme"},
    "POST /admin/adapters/{name}/rollout": {"share": 5},
    "POST /v1/load_lora_adapter": {"lora_name": "x", "lora_path": "/x"},
    "POST /v1/unload_lora_adapter": {"lora_name": "x"},
}


async def send(http: httpx.AsyncClient, operation: str, token: str) -> httpx.Response:
    method, path = operation.split(" ")
    headers = {"authorization": f"Bearer {token}"}
    url = re.sub(r"\{\w+\}", "x", path)
    return await http.request(method, url, headers=headers, json=BODIES.get(operation))


def test_every_admin_path_is_in_the_table_once() -> None:
    """A path without a role would answer nobody."""
    assert sorted(operations()) == sorted(NEEDED)


def test_the_table_is_in_the_docs() -> None:
    """With the same roles."""
    described = rows(page("docs/guides/roles.md").section("What each role may do"))[1:]
    assert {cells[0]: cells[1] for cells in described} == {
        operation: str(role) for operation, role in NEEDED.items()
    }


async def test_each_role_reaches_what_it_may_and_nothing_else(
    http: httpx.AsyncClient, issuer: Issuer
) -> None:
    """A 403 names the role that is needed, and the one that there is."""
    tokens = {role: issuer.token(groups=[group]) for group, role in GROUPS.items()}
    for operation, needed in NEEDED.items():
        for role, token in tokens.items():
            answer = await send(http, operation, token)
            if role >= needed:
                assert answer.json()["error"]["message"] == REACHED.message, operation
            else:
                assert answer.status_code == 403
                message = answer.json()["error"]["message"]
                assert message == f"this needs the role `{needed}`; yours is `{role}`"


async def test_the_admin_key_is_an_owners(http: httpx.AsyncClient) -> None:
    """Also while the issuer is gone."""
    for operation in NEEDED:
        answer = await send(http, operation, "admin-key")
        assert answer.json()["error"]["message"] == REACHED.message, operation


async def test_a_token_of_nobody_learns_nothing(http: httpx.AsyncClient, issuer: Issuer) -> None:
    """Before its role and the request's body are looked at."""
    for token in ("", "a.b.c", issuer.token(aud="other"), issuer.token(exp=5)):
        for operation in NEEDED:
            answer = await send(http, operation, token)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    answer = await send(http, "GET /admin/adapters", issuer.token(groups=["others"]))
    assert answer.status_code == 403


async def test_an_issuer_that_was_never_reached_is_a_503(
    registry: Registry, issuer: Issuer
) -> None:
    """For tokens; the admin key works."""
    token = issuer.token(groups=["viewers"])
    issuer.is_ill = True
    keys = IssuerKeys(partial(read_keys, issuer.url), max_age_s=60)
    gate = TokenGate(Keyring("admin-key"), Tokens(keys, Rules(issuer.url, AUDIENCE, GROUPS)))
    async with client_of(make_app(parts_over(registry), routers=routers(gate))) as http:
        answer = await send(http, "GET /admin/adapters", token)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert (await send(http, "GET /admin/adapters", "admin-key")).status_code == 409
