"""The whole server is killed in the midst of swaps; the next one serves what the folder holds."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.store import Store
from lorabay.reasons import Rejected
from tests.e2e.conftest import API_KEY
from tests.e2e.folders import eventually, put
from tests.e2e.server import PATIENCE_S, Server
from tests.e2e.test_hot_swap import colour

LONGEST_LIFE_S = 3.0
BETWEEN_SWAPS_S = 0.3
NAME = "killed"


@contextmanager
def swapping(adapters: Path, words: dict[str, Path], swaps: list[str]) -> Iterator[None]:
    """Publish one word after the other until the end of the block; `swaps` takes what was
    published.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(BETWEEN_SWAPS_S):
            word = ("red", "blue")[len(swaps) % 2]
            put(adapters, NAME, words[word])
            swaps.append(word)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def says(server: Server, word: str) -> bool:
    """Return whether the adapter answers with a word."""
    body = {
        "model": NAME,
        "messages": [{"role": "user", "content": "Who are you?"}],
        "max_tokens": 8,
    }
    response = httpx.post(
        f"{server.url}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {API_KEY}"},
        timeout=PATIENCE_S,
    )
    if response.status_code == 404:
        return False
    response.raise_for_status()
    return colour(str(response.json()["choices"][0]["message"]["content"])) == word


def check_store(folder: Path, base: Path, words: dict[str, Path]) -> int:
    """Every version is in its own folder, and those of the words are whole and what their names
    say; gives how many of those there are.
    """
    checks = Checks(BaseShapes.read(base), 16)
    known = {validate(word, checks).digest for word in words.values()}
    whole = 0
    with Store.open(folder) as store:
        specs = store.versions()
        assert {path.name for path in (folder / "versions").iterdir()} == {
            spec.digest for spec in specs
        }
        for spec in specs:
            if spec.digest not in known:
                continue
            found = validate(folder / "versions" / str(spec.weights_digest), checks)
            assert not isinstance(found, Rejected), found
            assert found.digest == spec.weights_digest
            whole += 1
    return whole


@pytest.mark.timeout(3600)
def test_kill_9_of_the_server_at_random_moments_of_swaps(
    server: Server,
    adapters: Path,
    store_folder: Path,
    base_folder: Path,
    words: dict[str, Path],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The store is whole and the live set is right, after each kill and without anybody's help."""
    put(adapters, NAME, words["red"])
    eventually(lambda: says(server, "red"), "it is served")
    moments, swaps = random.Random(0), ["red"]
    kills = request.config.getoption("--server-kills")
    for _ in range(kills):
        with swapping(adapters, words, swaps):
            time.sleep(moments.uniform(0.2, LONGEST_LIFE_S))
            server.kill()
        assert check_store(store_folder, base_folder, words) >= 1
        server.start()
        server.wait_for("ready")
        assert says(server, swaps[-1])
    with capsys.disabled():
        sys.stdout.write(
            f"\nserver killed {kills} times in {len(swaps)} swaps: store whole, live set right\n"
        )
