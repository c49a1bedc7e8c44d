"""Pushing to a registry: what other programs find there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from lorabay.errors import SetupError
from lorabay.sources.interface import SourceError
from lorabay.sources.oci_reference import read_reference
from lorabay.sources.oci_registry import OciRegistry
from lorabay.sources.push_registry import ARTIFACT_TYPE, push_to_registry
from lorabay.sources.pushed import adapters_in
from tests.fixtures.registries import Registry
from tests.sources.made import CONFIG, WEIGHTS, no_bar, write


async def test_a_pushed_adapter_is_a_model_pack(
    oci_registry: Registry, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Its layers are plain files with their paths, under the types of CNCF's ModelPack."""
    repository = request.node.name.lower().replace("_", "-")
    registry = OciRegistry(read_reference(f"{oci_registry.host}/{repository}:prod"), "pull,push")
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    digest = await push_to_registry(registry, adapter, no_bar)
    told, content = await registry.manifest("prod")
    await registry.close()
    assert told == digest
    manifest = json.loads(content)
    assert manifest["artifactType"] == ARTIFACT_TYPE
    paths = [one["annotations"]["org.cncf.model.filepath"] for one in manifest["layers"]]
    assert paths == [WEIGHTS, CONFIG]
    assert all(one["mediaType"].endswith(".raw") for one in manifest["layers"])


class Uploads(BaseHTTPRequestHandler):
    """A registry that wants a token, and says where uploads go; or the server that they go to."""

    realm = ""
    place = ""
    asked: list[tuple[str, str | None]]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(200, b'{"token": "given"}')

    def do_HEAD(self) -> None:
        self.answer(404)

    def do_POST(self) -> None:
        if self.headers.get("authorization") is None:
            self.answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{self.realm}",service="x"'})
        else:
            self.answer(202, b"", {"Location": self.place})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(201)

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.asked.append((f"{self.command} {self.path}", self.headers.get("authorization")))
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def servers() -> Iterator[list[tuple[type[Uploads], str]]]:
    """A registry, and another server; each with where it answers."""
    made = []
    for _ in range(2):
        handler = type("Handler", (Uploads,), {"asked": []})
        server = HTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made.append((handler, server))
    yield [(handler, f"127.0.0.1:{server.server_address[1]}") for handler, server in made]
    for _, server in made:
        server.shutdown()
        server.server_close()


async def test_an_upload_to_another_server_goes_without_the_token(
    servers: list[tuple[type[Uploads], str]], tmp_path: Path
) -> None:
    """Bug: whatever server a registry named was told the token, or the password."""
    (own, host), (other, elsewhere) = servers
    own.realm, own.place = f"http://{host}/token", f"http://{elsewhere}/upload?x=1"
    registry = OciRegistry(read_reference(f"{host}/finance:prod"), "pull,push")
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    await push_to_registry(registry, adapter, no_bar)
    await registry.close()
    assert {sent for asked, sent in other.asked} == {None}
    assert len(other.asked) == 3
    assert own.asked[-1] == ("PUT /v2/finance/manifests/prod", "Bearer given")


@pytest.mark.parametrize("place", ["http://r.io/upload", "ftp://r.io/upload"])
async def test_an_upload_in_the_clear_is_refused(place: str) -> None:
    """Bug: a registry over HTTPS could have the adapter and the token sent where all can read."""
    registry = OciRegistry(read_reference("r.io/finance:prod"), "pull,push")
    with pytest.raises(SourceError, match=f"leads to '{place}', which is not HTTPS"):
        async with registry.request("PUT", place, content=b""):
            pass
    await registry.close()


@pytest.mark.parametrize("place", ["http://[", "http://a b:c/"])
async def test_an_upload_to_nowhere_is_a_reason(
    servers: list[tuple[type[Uploads], str]], tmp_path: Path, place: str
) -> None:
    """What is no address is not asked."""
    (own, host), _ = servers
    own.realm, own.place = f"http://{host}/token", place
    registry = OciRegistry(read_reference(f"{host}/finance:prod"), "pull,push")
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    with pytest.raises(SourceError, match="does not answer"):
        await push_to_registry(registry, adapter, no_bar)
    await registry.close()


async def test_a_file_that_cannot_be_read(
    servers: list[tuple[type[Uploads], str]], tmp_path: Path
) -> None:
    """Bug: it was a bug of lorabay's."""
    (_, host), _ = servers
    registry = OciRegistry(read_reference(f"{host}/finance:prod"), "pull,push")
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    (tmp_path / "finance" / WEIGHTS).unlink()
    with pytest.raises(SetupError, match=f"finance/{WEIGHTS} cannot be read: No such file"):
        await push_to_registry(registry, adapter, no_bar)
    await registry.close()
