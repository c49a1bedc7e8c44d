"""The way of a command to a server that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from lorabay.cli.admin_calls import call
from lorabay.errors import SetupError, UsageError

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


@contextmanager
def answering(status: int, content: bytes) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server that answers everything so; yields its address and what it was asked."""
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, self.headers["authorization"]))
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def test_a_call_carries_the_key_and_brings_the_answer() -> None:
    """With one slash between address and path."""
    with answering(200, b'{"status": "running"}') as (url, asked):
        found = call("POST", "/admin/x", {"share": 5}, url=f"{url}/", admin_key="k")
    assert found == {"status": "running"}
    assert asked == [("/admin/x", "Bearer k")]


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (409, b'{"error": {"message": "stop it first"}}', "stop it first"),
        (500, b'{"error": "no"}', "answers 500"),
        (502, b"<html>", "is it lorabay"),
        (200, b"[]", "is it lorabay"),
    ],
)
def test_a_failure_is_told_in_the_servers_words(status: int, content: bytes, told: str) -> None:
    """Or by its status, where it has none."""
    with answering(status, content) as (url, _), pytest.raises(SetupError, match=told):
        call("GET", "/admin/x", url=url, admin_key="k")


def test_no_server_no_key_no_address() -> None:
    """Each says what to give."""
    with pytest.raises(SetupError, match=r"does not answer.*--url"):
        call("GET", "/admin/x", url="http://127.0.0.1:9", admin_key="k")
    with pytest.raises(UsageError, match="LORABAY_ADMIN_KEY"):
        call("GET", "/admin/x", url=None, admin_key=None)
    with pytest.raises(UsageError, match="no address"):
        call("GET", "/admin/x", url="ftp://host", admin_key="k")


def test_without_an_address_it_is_this_hosts_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that `serve` would start with these settings."""
    with answering(200, b"{}") as (url, asked):
        monkeypatch.setenv("LORABAY_PORT", url.rpartition(":")[2])
        assert call("GET", "/admin/x", url=None, admin_key="k") == {}
    assert len(asked) == 1
