"""A server whose engine holds fewer adapters than it serves: what a cold one is loaded for, and
what a failed load means.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY, REPOSITORY
from tests.e2e.folders import eventually
from tests.e2e.server import Server, metric
from tests.e2e.test_engine_death import kill_engine


@pytest.fixture(scope="module")
def small(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with room for one adapter at a time."""
    folder = tmp_path_factory.mktemp("small")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(REPOSITORY / "adapters")),
        *("--store", str(folder / "store"), "--api-key", API_KEY, "--admin-key", ADMIN_KEY),
        *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
        *("--engine", "max_loras=1", "--engine", "max_cpu_loras=2"),
    ]
    with Server(arguments, log=folder / "server.log") as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def http(small: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=small.url, headers=headers, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def admin(small: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=small.url, headers=headers, timeout=120) as client:
        yield client


def ask(http: httpx.Client, model: str, text: str = "Hi", **more: object) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 2}
    return http.post("/v1/chat/completions", json=body | more)


def level(admin: httpx.Client, adapter: str) -> str:
    return str(live(admin, adapter)["level"])


def live(admin: httpx.Client, adapter: str) -> dict[str, Any]:
    """Return what the admin side shows of the version that answers."""
    versions = admin.get(f"/admin/adapters/{adapter}").json()["versions"]
    version: dict[str, Any] = next(version for version in versions if version["live"])
    return version


@pytest.mark.timeout(900)
def test_requests_that_kill_the_engine_never_blame_a_new_adapter(
    small: Server, http: httpx.Client, admin: httpx.Client
) -> None:
    """An adapter that has not answered anything yet, and requests that differ each time: it is
    tried out in the new engine, and answers.
    """
    adapter = ADAPTERS[0]
    with ThreadPoolExecutor(1) as pool:
        for number in range(2):
            long = {"max_tokens": 400, "ignore_eos": True}
            asking = pool.submit(ask, http, adapter, f"Kill number {number}", **long)
            eventually(lambda: metric(small.url, "vllm:num_requests_running") == 1, "it runs", 60)
            kill_engine(small)
            assert asking.result(60).status_code == 503
            eventually(lambda: ask(http, ADAPTERS[1]).status_code == 200, "answers again", 250)

    assert ask(http, adapter).status_code == 200
    assert admin.get(f"/admin/adapters/{adapter}").json()["state"] == "ready"


@pytest.mark.timeout(300)
def test_a_version_that_cannot_be_read_now_is_a_503_until_it_can(
    small: Server, http: httpx.Client, admin: httpx.Client, tmp_path: Path
) -> None:
    """A backup has moved its folder away for a moment: the name stays, nothing else answers for it,
    and nobody has to help when the folder is back.
    """
    one, other = ADAPTERS[:2]
    first = ask(http, one)
    assert ask(http, other).status_code == 200
    assert level(admin, one) == "store"

    digest = first.headers["x-adapter-version"]
    # Versions that differ in their defaults alone share this folder.
    weights = live(admin, one)["weights_digest"]
    (store,) = {path for path in version_folders(small) if path.name == weights}
    away = store.with_name(f".away-{digest}")
    store.rename(away)
    try:
        for _ in range(2):
            refused = ask(http, one)
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "engine_unavailable",
            )
            assert str(store.parent) not in refused.text
            assert int(refused.headers["retry-after"]) >= 1
        assert admin.get(f"/admin/adapters/{one}").json()["state"] == "ready"
        assert ask(http, other).status_code == 200
    finally:
        away.rename(store)

    again = ask(http, one)
    assert again.status_code == 200
    assert again.headers["x-adapter-version"] == digest


def version_folders(server: Server) -> list[Path]:
    """Return the folders of the versions in a server's store."""
    arguments = server.process.args
    assert isinstance(arguments, list)
    store = Path(arguments[arguments.index("--store") + 1])
    return list((store / "versions").iterdir())


@pytest.mark.timeout(300)
def test_the_tokeniser_loads_no_adapter(http: httpx.Client, admin: httpx.Client) -> None:
    """It answers for a cold adapter at once, and the one that is in the engine stays there."""
    one, other = ADAPTERS[:2]
    assert ask(http, other).status_code == 200
    before = level(admin, one), level(admin, other)
    assert before == ("store", "engine")
    tokens = http.post("/tokenize", json={"model": one, "prompt": "Hello there"}).json()["tokens"]
    text = http.post("/detokenize", json={"model": one, "tokens": tokens}).json()["prompt"]
    assert text == "Hello there"
    assert (level(admin, one), level(admin, other)) == before
