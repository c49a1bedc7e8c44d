"""`/admin/limits`: who may call, what comes back, and what can be wrong about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from lorabay.accounts.audit.book import listed
from lorabay.accounts.audit.questions import Question
from lorabay.accounts.database.database import Database
from lorabay.accounts.ledger.desk import LimitDesk
from lorabay.accounts.ledger.rule_book import RuleBook
from lorabay.api.admin_limits import limits_router
from lorabay.api.auth import choose_admin_gate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import client_of, make_app, parts_over

ADMIN = {"authorization": "Bearer admin-key"}


@dataclass(frozen=True)
class Office:
    """A server with accounts, and a connected administrator."""

    database: Database
    http: httpx.AsyncClient

    async def put(self, body: Any) -> httpx.Response:
        return await self.http.put("/admin/limits", json=body, headers=ADMIN)

    async def limits(self) -> Any:
        return (await self.http.get("/admin/limits", headers=ADMIN)).json()["limits"]


@pytest.fixture
async def office(sqlite: Database, registry: Registry) -> AsyncIterator[Office]:
    desk = LimitDesk(sqlite, RuleBook(sqlite))
    gate = choose_admin_gate(Keyring("admin-key"))
    app = make_app(parts_over(registry), routers=[limits_router(desk, gate)])
    async with client_of(app) as http:
        yield Office(sqlite, http)


async def test_only_administrators_may_call(office: Office) -> None:
    """Before the body is looked at."""
    assert (await office.http.get("/admin/limits")).status_code == 401
    assert (await office.http.put("/admin/limits", json={"no": 1})).status_code == 401


async def test_limits_are_listed_as_they_were_set(office: Office) -> None:
    """All of one place at once; without any it has none."""
    answer = await office.put({"tenant": "acme", "parallel": 2, "tokens_per_day": 0})
    assert answer.status_code == 200
    [row] = answer.json()["limits"]
    assert row == {
        "kind": "tenant",
        "name": "acme",
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "tokens_per_day": 0,
        "tokens_per_month": None,
        "parallel": 2,
    }
    await office.put({"key": "ab12cd34", "adapter": "finance", "parallel": 1})
    assert [one["name"] for one in await office.limits()] == ["ab12cd34/finance", "acme"]
    await office.put({"tenant": "acme"})
    assert [one["name"] for one in await office.limits()] == ["ab12cd34/finance"]


async def test_a_change_is_in_the_audit_with_its_request(office: Office) -> None:
    """The id that the answer has, too."""
    answer = await office.put({"tenant": "acme", "parallel": 2})
    [row] = office.database.read(partial(listed, question=Question()))
    told = row.as_dict()
    assert (told["who"], told["action"], told["target"]) == ("admin", "limits.set", "tenant:acme")
    assert told["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"tenant": "a", "adapter": "b"},
        {"tenant": "a\u0000"},
        {"tenant": "a", "parallel": -1},
        {"tenant": "a", "parallel": "2"},
        {"tenant": "a", "parallel": True},
        {"tenant": "a", "parallel": 10**16},
        {"tenant": "a", "paralel": 2},
        {"tenant": 5},
    ],
)
async def test_a_wrong_body_is_a_400(office: Office, body: Any) -> None:
    """And nothing is set."""
    answer = await office.put(body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_request"
    assert await office.limits() == []
