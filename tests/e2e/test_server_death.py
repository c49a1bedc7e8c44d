"""The whole server is killed in the midst of swaps; the next one serves what the folder holds."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.store import Store
from lorabay.reasons import Rejected
from tests.e2e.conftest import API_KEY
from tests.e2e.folders import put
from tests.e2e.server import Server
from tests.e2e.test_hot_swap import colour

LONGEST_LIFE_S = 3.0
BETWEEN_SWAPS_S = 0.3


def start(folder: Path, base: Path) -> Server:
    return Server(
        [
            *(
                "--base",
                str(base),
                "--adapters",
                str(folder / "adapters"),
                "--store",
                str(folder / "store"),
            ),
            *(
                "--api-key",
                API_KEY,
                "--settle-s",
                "0.2",
                "--poll-s",
                "1",
                "--engine",
                "max_model_len=512",
            ),
            *("--engine", "max_num_seqs=4", "--engine", "enforce_eager=true"),
        ],
        log=folder / "server.log",
    )


def kill(server: Server) -> None:
    """SIGKILL the server and everything that it started."""
    whole = [
        psutil.Process(server.process.pid),
        *psutil.Process(server.process.pid).children(recursive=True),
    ]
    for process in whole:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    server.process.wait(30)


@contextmanager
def swapping(folder: Path, words: dict[str, Path], swaps: list[str]) -> Iterator[None]:
    """Publish one word after the other until the end of the block; `swaps` takes what was
    published.
    """
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(BETWEEN_SWAPS_S):
            word = ("red", "blue")[len(swaps) % 2]
            put(folder / "adapters", "word", words[word])
            swaps.append(word)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def say(server: Server) -> str:
    body = {
        "model": "word",
        "messages": [{"role": "user", "content": "Who are you?"}],
        "max_tokens": 8,
    }
    headers = {"authorization": f"Bearer {API_KEY}"}
    response = httpx.post(
        f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    )
    response.raise_for_status()
    return str(response.json()["choices"][0]["message"]["content"])


def check_store(folder: Path, base: Path) -> int:
    """Every version is whole, and is what its name says; gives how many there are."""
    checks = Checks(BaseShapes.read(base), 16)
    with Store.open(folder / "store") as store:
        specs = store.versions()
        for spec in specs:
            path = folder / "store" / "versions" / str(spec.weights_digest)
            found = validate(path, checks)
            assert not isinstance(found, Rejected), found
            assert found.digest == spec.weights_digest
        assert {path.name for path in (folder / "store" / "versions").iterdir()} == {
            spec.digest for spec in specs
        }
    return len(specs)


@pytest.mark.timeout(3600)
def test_kill_9_of_the_server_at_random_moments_of_swaps(
    base_folder: Path,
    words: dict[str, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The store is whole and the live set is right, after each kill and without anybody's help."""
    (tmp_path / "adapters").mkdir()
    put(tmp_path / "adapters", "word", words["red"])
    moments, swaps = random.Random(0), ["red"]
    kills = request.config.getoption("--server-kills")
    for _ in range(kills):
        server = start(tmp_path, base_folder)
        with server:
            server.wait_for("ready")
            assert colour(say(server)) == swaps[-1]
            with swapping(tmp_path, words, swaps):
                time.sleep(moments.uniform(0.2, LONGEST_LIFE_S))
                kill(server)
        assert check_store(tmp_path, base_folder) >= 1
    with start(tmp_path, base_folder) as server:
        server.wait_for("ready")
        assert colour(say(server)) == swaps[-1]
    with capsys.disabled():
        sys.stdout.write(
            f"\nserver killed {kills} times in {len(swaps)} swaps: store whole, live set right\n"
        )
