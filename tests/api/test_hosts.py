"""By which names a server may be called."""

from __future__ import annotations

import json

import httpx
import pytest
from starlette.types import Message

from lorabay.api.auth import OpenGate
from lorabay.api.front import front_of
from lorabay.api.hosts import AllowedHosts, choose_hosts
from lorabay.api.starting import StartingApp
from lorabay.catalog.registry.registry import Registry
from tests.api.conftest import client_of, make_app, parts_over

LOOPBACK = (
    "localhost",
    "localhost:8000",
    "LOCALHOST.",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.1.2.3:1",
    "[::1]",
    "[::1]:8000",
    "",
)
FOREIGN = (
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "192.168.1.7",
    "[2001:db8::1]",
    "[::1",
    "[::1]evil.example",
    "::1",
    "localhost evil.example",
    "localhost:8000:80",
    "@localhost",
    "localhost\xa0",
    "*",
)


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_names_are_always_ours(host: str) -> None:
    """Also for a server with names of its own."""
    assert choose_hosts((), with_key=False).allow(host)
    assert choose_hosts(("bay.example",), with_key=True).allow(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_without_a_key_no_other_name_is(host: str) -> None:
    """A page that gave its name our address does not get through."""
    assert not choose_hosts((), with_key=False).allow(host)
    assert not choose_hosts(("bay.example",), with_key=True).allow(host)


@pytest.mark.parametrize("host", ["bay.example", "BAY.example.:443", "[2001:db8::7]:80"])
def test_an_operator_adds_names(host: str) -> None:
    """In any spelling, with any port, and with or without a key."""
    names = ("Bay.Example", "[2001:db8::7]")
    for with_key in (True, False):
        assert choose_hosts(names, with_key=with_key).allow(host)


@pytest.mark.parametrize("host", ["bay.example", "[::1", "anything at all"])
def test_a_key_is_enough_unless_names_are_given(host: str) -> None:
    """Whoever has the key may call the server as they like; so may everybody with `*`."""
    assert choose_hosts((), with_key=True).allow(host)
    assert choose_hosts(("*",), with_key=False).allow(host)


async def test_a_foreign_name_is_421(registry: Registry) -> None:
    """Every path refuses it, in the envelope, with what to do."""
    front = front_of(AllowedHosts((), open_to_all=False))
    app = make_app(parts_over(registry), OpenGate(), middleware=front)
    async with client_of(app) as http:
        for method, path in (("GET", "/health"), ("POST", "/tokenize"), ("OPTIONS", "/docs")):
            response = await http.request(method, path, headers={"host": "evil.example:80"})
            assert response.status_code == 421
            assert response.json()["error"]["code"] == "host_not_allowed"
            assert "--allowed-hosts" in response.json()["error"]["message"]
            assert response.headers["x-request-id"]
        assert (await http.get("/health", headers={"host": "localhost:1"})).status_code == 200


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", [], 400),
        ("1.1", ["localhost", "evil.example"], 400),
        ("1.1", ["localhost", "localhost"], 400),
        ("1.1", [""], 200),
        ("1.0", [], 200),
        ("1.0", ["localhost", "localhost"], 400),
        ("1.0", ["evil.example"], 421),
    ],
)
async def test_a_request_has_one_name(
    registry: Registry, version: str, hosts: list[str], status: int
) -> None:
    """As RFC 9112 demands; HTTP/1.0 knew no header for it."""
    app = make_app(parts_over(registry), middleware=front_of(AllowedHosts((), open_to_all=False)))
    scope = {
        "type": "http",
        "http_version": version,
        "method": "GET",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "headers": [(b"host", host.encode()) for host in hosts],
    }
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == status
    if status == 400:
        error = json.loads(sent[1]["body"])["error"]
        assert error["code"] == "invalid_request"
        assert f"has {len(hosts)}" in error["message"]


async def test_a_starting_server_is_as_careful() -> None:
    """The name is checked from the first answer on."""
    app = StartingApp(front_of(AllowedHosts((), open_to_all=False)))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://evil.example") as http:
        assert (await http.get("/health")).status_code == 421
