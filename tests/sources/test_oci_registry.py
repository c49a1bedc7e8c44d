"""What a registry is asked, and whom a password is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lorabay.sources.interface import SourceError
from lorabay.sources.oci_reference import read_reference
from lorabay.sources.oci_registry import OciRegistry
from tests.sources.made import DEEP_JSON


class Answers(BaseHTTPRequestHandler):
    """A registry that wants a token of its own token service, or does what a test says."""

    realm = ""
    manifest = b"{}"
    given: tuple[int, bytes] = (200, json.dumps({"token": "given"}).encode())
    asked: list[str]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/token"):
            self.answer(*self.given)
        elif self.headers.get("authorization") != "Bearer given":
            challenge = f'Bearer realm="{self.realm}",service="tests",scope="x"'
            self.answer(401, b"", {"WWW-Authenticate": challenge})
        else:
            self.answer(200, self.manifest)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def answers() -> Iterator[tuple[type[Answers], str]]:
    """The handler to change, and where it answers."""
    handler = type("Handler", (Answers,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    host = f"127.0.0.1:{server.server_address[1]}"
    handler.realm = f"http://{host}/token"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, host
    server.shutdown()
    server.server_close()


async def test_a_token_is_asked_for_and_sent(answers: tuple[type[Answers], str]) -> None:
    """Once: the next request has it already."""
    handler, host = answers
    registry = OciRegistry(read_reference(f"{host}/finance:prod"))
    for _ in range(2):
        assert (await registry.manifest("prod"))[1] == b"{}"
    await registry.close()
    assert sum(path.startswith("/token") for path in handler.asked) == 1
    assert "scope=repository%3Afinance%3Apull" in handler.asked[1]


async def test_another_manifest_than_the_digest_says(answers: tuple[type[Answers], str]) -> None:
    """What comes is compared with what was asked for."""
    _, host = answers
    registry = OciRegistry(read_reference(f"{host}/finance"))
    with pytest.raises(SourceError, match="answers with another manifest"):
        await registry.manifest("sha256:" + "0" * 64)
    await registry.close()


@pytest.mark.parametrize("realm", ["ftp://elsewhere/token", ""])
async def test_a_token_service_that_is_not_trusted(
    answers: tuple[type[Answers], str], realm: str
) -> None:
    """A password never goes where nobody can know who listens."""
    handler, host = answers
    handler.realm = realm
    registry = OciRegistry(read_reference(f"{host}/finance"))
    with pytest.raises(SourceError, match="refuses this server"):
        await registry.manifest("latest")
    await registry.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_token_service_that_is_away(
    answers: tuple[type[Answers], str], status: int
) -> None:
    """Bug: the reason told people to log in."""
    handler, host = answers
    handler.given = (status, b"")
    registry = OciRegistry(read_reference(f"{host}/finance"))
    with pytest.raises(SourceError, match=f"token service .* does not answer: status {status}"):
        await registry.manifest("latest")
    await registry.close()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": ["x"]}', '{"token": "é"}'.encode(), DEEP_JSON]
)
async def test_a_token_service_without_a_token(
    answers: tuple[type[Answers], str], body: bytes
) -> None:
    """What is none is not sent to the registry."""
    handler, host = answers
    handler.given = (200, body)
    registry = OciRegistry(read_reference(f"{host}/finance"))
    with pytest.raises(SourceError, match="a token service without a token"):
        await registry.manifest("latest")
    await registry.close()
    assert len(handler.asked) == 2


async def test_another_server_cannot_ask_for_the_password(
    answers: tuple[type[Answers], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the realm that a server named to which the registry only led was sent it."""
    handler, host = answers
    auth = base64.b64encode(b"user:password").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"127.0.0.1:1": {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry = OciRegistry(read_reference("127.0.0.1:1/finance"))
    with pytest.raises(SourceError, match="refuses this server"):
        async with registry.request("GET", f"http://{host}/blob"):
            pass
    await registry.close()
    assert handler.asked == ["/blob"]


async def test_a_manifest_without_end(answers: tuple[type[Answers], str]) -> None:
    """It is not read further than its limit."""
    handler, host = answers
    handler.manifest = b" " * (5 << 20)
    registry = OciRegistry(read_reference(f"{host}/finance"))
    with pytest.raises(SourceError, match="more than 4 MiB"):
        await registry.manifest("latest")
    await registry.close()


async def test_a_registry_that_is_not_there() -> None:
    """One sentence."""
    registry = OciRegistry(read_reference("127.0.0.1:1/finance"))
    with pytest.raises(SourceError, match="does not answer"):
        await registry.digest_of("latest")
    await registry.close()
