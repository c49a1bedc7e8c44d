"""Two servers in front of one engine on a Ray cluster: one set of names, whichever one is asked.

Runs with `--ray` alone. The cluster is one machine: what more than one of them adds is not shown.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from tests.e2e.conftest import ADMIN_KEY, API_KEY
from tests.e2e.server import PATIENCE_S, START_S, Server
from tests.e2e.test_ray import SOURCE, copy_of
from tests.fixtures.databases import free_port
from tests.fixtures.hosts import RayHost, environment

pytestmark = pytest.mark.timeout(1500)

SWAPS, CLIENTS = 10, 6
NAMES = ("hot", "quiet")
FLAGS = (
    *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--settle-s", "0.2", "--poll-s", "1"),
    *("--ray-replicas", "1", "--grace-s", "30", "--cluster", "shop"),
    *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
    *("--engine", "max_num_seqs=16", "--engine", "enforce_eager=true"),
    *("--engine", "max_loras=4", "--engine", "max_cpu_loras=5"),
)


@pytest.fixture(scope="module")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray cluster that no server has started, and none ends."""
    port = free_port()
    head = [
        *("--head", "--port", str(port), "--node-ip-address", "127.0.0.1"),
        *("--include-dashboard", "false"),
    ]
    host = RayHost(head, (), 0, tmp_path_factory.mktemp("ray-head") / "log")
    host.wait_until_up()
    yield f"127.0.0.1:{port}"
    host.remove()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ray-adapters")
    for number, name in enumerate(NAMES):
        copy_of(SOURCE, made / name, 1 + number / 64)
    return made


@pytest.fixture(scope="module")
def fronts(
    base_folder: Path,
    folder: Path,
    ray_address: str,
    tmp_path_factory: pytest.TempPathFactory,
    figures: list[str],
) -> Iterator[tuple[Server, Server]]:
    work = tmp_path_factory.mktemp("ray-fronts")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(folder), "--store", str(work / "store")),
        *("--database", f"sqlite:///{work / 'lorabay.db'}", "--ray-address", ray_address),
        *FLAGS,
    ]
    with ExitStack() as stack:
        first = stack.enter_context(
            Server(arguments, log=work / "first.log", environ=environment())
        )
        first.wait_for("ready")
        second = stack.enter_context(
            Server(arguments, log=work / "second.log", environ=environment())
        )
        second.wait_for("ready")
        figures.append(f"ray: a second front ready after {second.age_s:.0f} s")
        yield first, second


def ask(front: Server, model: str) -> httpx.Response:
    return httpx.post(
        f"{front.url}/v1/completions",
        json={"model": model, "prompt": "Hello", "max_tokens": 2, "seed": 1},
        headers={"authorization": f"Bearer {API_KEY}"},
        timeout=PATIENCE_S,
    )


def version_at(front: Server, model: str = "hot") -> str:
    answer = ask(front, model)
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-adapter-version"])


def admin(front: Server, path: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    return httpx.post(f"{front.url}/admin/{path}", headers=headers, timeout=PATIENCE_S)


def engines() -> set[int]:
    """The processes of engines on this machine."""
    named = {process.pid: process.info["cmdline"] for process in psutil.process_iter(["cmdline"])}
    return {pid for pid, line in named.items() if "VLLM::EngineCore" in " ".join(line or [])}


def test_no_client_of_two_fronts_goes_back(
    fronts: tuple[Server, Server], folder: Path, figures: list[str]
) -> None:
    """Swaps under load: no failure, and nobody sees an older version after a newer one."""
    assert len(engines()) == 1
    seen: list[list[str]] = [[] for _ in range(CLIENTS)]
    failed: list[int] = []
    stop = threading.Event()

    def follow(number: int) -> None:
        chance = random.Random(number)
        while not stop.is_set():
            answer = ask(chance.choice(fronts), "hot")
            if answer.status_code != 200:
                failed.append(answer.status_code)
            else:
                seen[number].append(answer.headers["x-adapter-version"])

    order = [version_at(fronts[0])]
    threads = [threading.Thread(target=follow, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    took: list[float] = []
    for number in range(SWAPS):
        began = time.monotonic()
        copy_of(SOURCE, folder / "hot", 2 + number / 64)
        while (version := version_at(fronts[number % 2])) in order:
            assert time.monotonic() - began < PATIENCE_S
        order.append(version)
        took.append(time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()

    figures.append(
        f"ray: {SWAPS} swaps at two fronts took {np.median(took):.1f} s at the median, at most "
        f"{max(took):.1f} s; {sum(map(len, seen))} answers, {len(failed)} failed"
    )
    assert failed == []
    for own in seen:
        places = [order.index(version) for version in own]
        assert places == sorted(places)


def test_either_front_takes_what_an_administrator_wants(fronts: tuple[Server, Server]) -> None:
    """Both have done it when one of them answers."""
    first, second = fronts
    live = version_at(first)
    assert admin(second, "adapters/hot/rollback").status_code == 200
    assert version_at(first) == version_at(second) != live
    assert admin(second, "adapters/quiet/pin").json()["pinned"]
    assert admin(first, "adapters/quiet/unpin").status_code == 200
    assert admin(second, "adapters/quiet/unload").status_code == 200
    assert {ask(front, "quiet").status_code for front in fronts} == {404}


def test_the_front_that_stays_keeps_names_and_engine(
    fronts: tuple[Server, Server], folder: Path, figures: list[str]
) -> None:
    """One is killed, the other goes on with the same engine, and swaps after a lease."""
    first, second = fronts
    before, running = version_at(second), engines()
    first.kill()
    copy_of(SOURCE, folder / "hot", 4.0)
    began = time.monotonic()
    while version_at(second) == before:
        assert time.monotonic() - began < PATIENCE_S
    figures.append(f"ray: a swap after the death of a front took {time.monotonic() - began:.1f} s")
    assert engines() == running

    first.start()
    first.wait_for("ready", START_S)
    assert version_at(first) == version_at(second)
    assert second.terminate() == 0
    assert engines() == running
    assert version_at(first)
    assert first.terminate() == 0
    began = time.monotonic()
    while engines() & running:
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.2)
