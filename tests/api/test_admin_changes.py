"""`GET /admin/adapters/{name}/change`: which versions are measured, and for whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from lorabay.api.admin_changes import changes_router
from lorabay.api.auth import ADMIN, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import ModelNotFound
from tests.api.conftest import client_of, make_app, parts_over

KEY = {"authorization": "Bearer admin"}


class Kept:
    """Operations that know one adapter."""

    def version(self, name: str, digest_prefix: str | None = None) -> Any:
        if name != "finance":
            raise ModelNotFound(name)
        return SimpleNamespace(id=f"{name}@{digest_prefix or 'live'}")


class Measure:
    """Changes that measure nothing."""

    async def measured(self, version: Any, other: Any = None) -> dict[str, Any]:
        return {"version": version.id, "other": None if other is None else other.id}


@pytest.fixture
async def http(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    operations: Any = Kept()
    changes: Any = Measure()
    router = changes_router(operations, changes, KeyGate(Keyring("admin"), ADMIN))
    async with client_of(make_app(parts_over(registry), routers=[router])) as client:
        yield client


async def test_the_live_version_is_measured_unless_another_is_named(
    http: httpx.AsyncClient,
) -> None:
    """And compared with one that is named."""
    path = "/admin/adapters/finance/change"
    assert (await http.get(path, headers=KEY)).json() == {"version": "finance@live", "other": None}
    told = await http.get(path, params={"version": "aa", "other": "bb"}, headers=KEY)
    assert told.json() == {"version": "finance@aa", "other": "finance@bb"}


async def test_strangers_and_strange_names_are_refused(http: httpx.AsyncClient) -> None:
    """As on every admin path."""
    assert (await http.get("/admin/adapters/finance/change")).status_code == 401
    assert (await http.get("/admin/adapters/none/change", headers=KEY)).status_code == 404
