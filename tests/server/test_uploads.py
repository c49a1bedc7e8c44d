"""Adapters that are sent to a whole server, by a program with the admin key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from lorabay.server.uploads import choose_uploads
from lorabay.settings import Settings, load_settings
from tests import making
from tests.console.serving import ADMIN_KEY, console_server
from tests.sources.uploads.packed import adapter_files, as_tar_gz, below

ADMIN = {"authorization": f"Bearer {ADMIN_KEY}"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    making.make_base(folder / "base")
    making.make_adapter(folder / "adapters" / "finance")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    settings = {
        "base": folder / "base",
        "adapters": folder / "adapters",
        "store": folder / "store",
        # A long wait for folders that somebody may still be copying: what is sent is whole.
        "settle_s": 60,
        "port": 0,
        "upload_mib": 1,
    }
    with console_server(settings) as server:
        yield server.url


def chat(url: str, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).status_code


def test_an_adapter_that_is_sent_answers_at_once(url: str, tmp_path: Path) -> None:
    """The same archive under the same name is refused, and under another one it is not."""
    content = as_tar_gz(below("run-7", adapter_files(tmp_path / "made")))
    put = f"{url}/admin/adapters"
    told = httpx.put(f"{put}/sent", content=content, headers=ADMIN, timeout=30)
    assert told.status_code == 200, told.text
    assert told.json()["state"] == "ready"
    assert chat(url, "sent") == 200
    assert httpx.put(f"{put}/sent", content=content, headers=ADMIN).status_code == 409
    assert httpx.put(f"{put}/other", content=content, headers=ADMIN).status_code == 200


def test_a_large_body_is_refused_and_the_server_goes_on(url: str) -> None:
    """Whether its size is announced or not."""
    put = f"{url}/admin/adapters/large"

    def pieces() -> Iterator[bytes]:
        for _ in range(32):
            yield bytes(1 << 16)

    assert httpx.put(put, content=bytes(2 << 20), headers=ADMIN).status_code == 413
    # The connection may be closed while the rest is on its way.
    with suppress(httpx.TransportError):
        assert httpx.put(put, content=pieces(), headers=ADMIN).status_code == 413
    assert chat(url, "finance") == 200


def chosen(**settings: object) -> dict[str, Any]:
    loaded: Settings = load_settings(settings, environ={})
    return choose_uploads(loaded, cast("Any", None)).describe()


def test_none_can_be_sent_unless_somebody_allows_it() -> None:
    """The answer names the setting."""
    told = chosen(adapters="adapters")
    assert told["on"] is False
    assert "--upload-mib" in told["reason"]
    assert chosen(adapters="adapters", upload_mib=3)["most_bytes"] == 3 << 20


def test_a_bucket_alone_takes_none() -> None:
    """A folder beside it does."""
    told = chosen(adapters="s3://models/adapters", upload_mib=3)
    assert told["on"] is False
    assert "s3://models/adapters" in told["reason"]
    assert chosen(adapters="s3://models/adapters,here", upload_mib=3)["on"] is True
