"""A whole server with a console: asked as its page asks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from lorabay.api.console.same_origin import MARK
from tests import making
from tests.console.serving import ADMIN_KEY, console_server
from tests.server.standing import Standing

CHAT = {"model": "finance", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    making.make_base(folder / "base")
    making.make_adapter(folder / "adapters" / "finance")
    return folder


def settings_of(folder: Path) -> dict[str, object]:
    return {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / "store",
        "settle_s": 0,
        "port": 0,
    }


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Standing]:
    with console_server(settings_of(folder)) as server:
        yield server


@pytest.fixture
def client(server: Standing) -> Iterator[httpx.Client]:
    """A client that has logged in."""
    headers = {MARK: "1", "origin": server.url}
    with httpx.Client(base_url=f"{server.url}/console/api", headers=headers) as client:
        answer = client.post("/session", headers={"authorization": f"Bearer {ADMIN_KEY}"})
        assert answer.status_code == 200
        yield client


def test_the_page_calls_the_admin_side_and_the_models(client: httpx.Client) -> None:
    """What was asked is in the figures of its adapter, and of the caller."""
    listed = client.get("/admin/adapters").json()["adapters"]
    assert [adapter["name"] for adapter in listed] == ["finance"]
    assert client.get("/v1/models").json()["data"][0]["id"]
    assert client.get("/admin/adapters/finance/card").json() == {"card": None}
    assert client.get("/admin/adapters/other/card").status_code == 404

    assert '"content": "says "' in client.post("/v1/chat/completions", json=CHAT).text
    told = client.get("/admin/figures", params={"by": "adapter"}).json()["figures"]
    assert told["finance"]["requests"] == 1
    assert told["finance"]["tokens"] > 0
    assert set(client.get("/admin/figures", params={"by": "key"}).json()["figures"]) == {"admin"}


def test_the_stream_tells_of_what_is_done(client: httpx.Client) -> None:
    """A pin is told to who follows, at once."""
    with client.stream("GET", "/admin/live") as stream:
        kinds = []
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kinds.append(line.removeprefix("event: "))
            if kinds == ["hour", "now"] and line.startswith("data: "):
                assert json.loads(line.removeprefix("data: "))["slots"] == {
                    "count": None,
                    "held": [],
                }
                client.post("/admin/adapters/finance/pin")
            if line.startswith("data: ") and kinds[-1] == "happened":
                assert json.loads(line.removeprefix("data: "))["what"] == "pinned"
                return
    raise AssertionError("the stream ended")


def test_a_rollback_that_was_overtaken_is_refused(client: httpx.Client) -> None:
    """It names what is live now."""
    body = {"version": "f" * 12, "seen": "finance@0123456789ab"}
    refused = client.post("/admin/adapters/finance/rollback", json=body)
    assert refused.status_code == 409


def test_a_server_that_ends_lets_go_of_who_follows(folder: Path, tmp_path: Path) -> None:
    """It does not wait for pages that would follow for ever."""
    settings = settings_of(folder) | {"store": tmp_path / "store", "grace_s": 30}
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(headers=headers, timeout=10) as client, ExitStack() as following:
        with console_server(settings) as server:
            live = client.stream("GET", f"{server.url}/admin/live")
            lines = following.enter_context(live).iter_lines()
            assert next(lines) == "event: hour"
            began = time.monotonic()
        assert time.monotonic() - began < 10


def test_no_console_where_it_is_turned_off(folder: Path, tmp_path: Path) -> None:
    """Neither its page nor its calls; the admin side is there."""
    settings = settings_of(folder) | {"store": tmp_path / "store", "console": "false"}
    with console_server(settings) as server:
        assert httpx.get(f"{server.url}/console").status_code == 404
        assert httpx.get(f"{server.url}/console/api/session").status_code == 404
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        assert httpx.get(f"{server.url}/admin/live", headers={}).status_code == 401
        assert httpx.get(f"{server.url}/admin/adapters", headers=headers).status_code == 200
