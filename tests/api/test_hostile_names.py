"""Names that mean something to a database, a terminal or a path, wherever a name can be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from lorabay.accounts.database.database import Database
from lorabay.accounts.keys import book
from lorabay.accounts.keys.desk import KeyDesk
from lorabay.accounts.keys.snapshot import KeySnapshot
from lorabay.accounts.keys.wishes import KeyWishes
from lorabay.accounts.usage.report import report
from lorabay.api import auth
from lorabay.api.admin_keys import keys_router
from lorabay.api.auth import AccountGate, KeyGate
from lorabay.api.keyring import Keyring
from lorabay.api.usage import usage_router
from lorabay.catalog.registry.registry import Registry
from lorabay.serving.engine import CHAT
from tests.api.conftest import client_of, make_app, parts_over
from tests.versions import make_version

ADMIN_KEY = "key of the administrator"
ADMIN = {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"}
NAMES = (
    "'; DROP TABLE keys; --",
    "' OR '1'='1",
    'x" UNION SELECT secret_hash FROM keys --',
    "%' AND 1=1; --",
    "\\'; SELECT pg_sleep(60); --",
    "$1 %s :name ?",
    "a\x00b",
    "\x1b[2J\x1b[31mred",
    "two\nlines\r\nX-Injected: 1",
    "\u202egnp.exe",
    "\ud800",
    "../../etc/passwd",
    "{{7*7}}${jndi:ldap://x}",
    "=cmd|' /C calc'!A0",
    "n" * 10_000,
    "",
)

Request = tuple[str, str, Any]
"""Method, path and body."""


def requests(name: str) -> Iterator[Request]:
    """Yield a request for each place that takes a name."""
    in_path = quote(name.encode("utf-8", "surrogatepass"), safe="")
    for field in ("name", "tenant", "adapters", "endpoints", "expires"):
        yield "POST", "/admin/keys", {"name": "other", field: name}
    yield "GET", f"/admin/keys/{in_path}", None
    yield "POST", f"/admin/keys/{in_path}/rotate", None
    yield "POST", f"/admin/keys/{in_path}/revoke", None
    yield "POST", "/admin/keys/keeper/rotate", {"overlap": name}
    yield "GET", f"/admin/keys?tenant={in_path}", None
    for field in ("key", "tenant", "adapter", "by", "since", "until", "format"):
        yield "GET", f"/admin/usage?{field}={in_path}", None
    yield "POST", CHAT.path, {"model": name}
    yield "GET", f"/v1/models/{in_path}", None


async def test_no_name_is_more_than_a_name(database: Database, registry: Registry) -> None:
    """Each is taken, not found or refused, for administrators in words that a terminal can show;
    the keys that there were are there, and none is taken for another.
    """
    registry.set_live(make_version("finance"))
    keeper = database.write(partial(book.create, wishes=KeyWishes("keeper"), who="test"))
    snapshot = KeySnapshot(database, max_age_s=600)
    snapshot.load()
    gate = KeyGate(Keyring(ADMIN_KEY), auth.ADMIN)

    async def answer(question: Any) -> Any:
        return await database.in_reader(partial(report, question=question))

    routers = [
        keys_router(KeyDesk(database, snapshot), gate, registry.names),
        usage_router(answer, gate),
    ]
    app = make_app(parts_over(registry), AccountGate(snapshot, Keyring(ADMIN_KEY)), routers=routers)
    made = 0
    async with client_of(app) as http:
        for name in NAMES:
            for method, path, body in requests(name):
                response = await send(http, method, path, body)
                assert response.status_code < 500, (name, method, path, response.text)
                if response.is_error and path.startswith("/admin"):
                    assert response.json()["error"]["message"].isprintable(), (method, path)
                made += method == "POST" and path == "/admin/keys" and response.is_success
            assert (await http.get("/v1/models", headers=bearer(name))).status_code == 401

    found = database.read(book.listed)
    assert len(found) == made + 1
    [kept] = [key for key in found if key.id == keeper.key.id]
    assert (kept.name, kept.revoked_at) == ("keeper", None)


async def send(http: httpx.AsyncClient, method: str, path: str, body: Any) -> httpx.Response:
    """Send a request, whose text may be half a character."""
    content = None if body is None else json.dumps(body).encode()
    return await http.request(method, path, content=content, headers=ADMIN)


def bearer(name: str) -> dict[str, bytes]:
    """Return a name as a key, as far as a header can hold it."""
    value = name.replace("\r", "").replace("\n", "").encode("utf-8", "replace")
    return {"authorization": b"Bearer " + value}
