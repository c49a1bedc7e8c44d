"""Which bucket a URL opens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from lorabay.errors import UsageError
from lorabay.sources.bucket import Bucket
from lorabay.sources.clouds import open_store


def test_each_cloud_has_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of it before it is listed."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert isinstance(open_store("s3://bucket/some/prefix"), S3Store)
    assert isinstance(open_store("gs://bucket/some/prefix"), GCSStore)
    assert isinstance(open_store("az://container/some/prefix"), AzureStore)


def test_what_makes_no_address_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure needs the name of an account."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="cannot be opened"):
        open_store("az://container/prefix")


class Emulator(BaseHTTPRequestHandler):
    """A server in the place of Google's, with one empty bucket."""

    asked: list[str]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b"<ListBucketResult><Name>bucket</Name></ListBucketResult>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def emulator() -> Iterator[tuple[type[Emulator], str]]:
    """What it is asked, and where it answers."""
    handler = type("Handler", (Emulator,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["", "http://"])
async def test_an_emulator_of_google_is_asked(
    emulator: tuple[type[Emulator], str], scheme: str
) -> None:
    """Bug: its variable made every gs:// an unknown setting; Google's programs want no scheme."""
    handler, host = emulator
    url = "gs://bucket/prefix"
    bucket = Bucket(url, open_store(url, {"STORAGE_EMULATOR_HOST": f"{scheme}{host}"}))
    assert (await bucket.list()).is_empty
    assert handler.asked[0].startswith("/bucket?")


@pytest.mark.parametrize(
    ("kind", "name", "server", "address"),
    [
        ("gs", "GOOGLE_BASE_URL", "https://gcs.example/", "https://gcs.example"),
        ("gs", "GOOGLE_BASE_URL", "gcs.example:4443", "https://gcs.example:4443"),
        ("gs", "STORAGE_EMULATOR_HOST", "gcs:4443", "http://gcs:4443"),
        ("s3", "AWS_ENDPOINT_URL", "localhost:9000", "http://localhost:9000"),
        ("s3", "AWS_ENDPOINT_URL", "minio.example", "https://minio.example"),
    ],
)
def test_a_server_without_a_scheme(kind: str, name: str, server: str, address: str) -> None:
    """HTTPS, but on this machine and for an emulator."""
    store = open_store(f"{kind}://bucket", {name: server})
    assert isinstance(store, GCSStore | S3Store)
    assert store.config.get("base_url" if kind == "gs" else "endpoint") == address
