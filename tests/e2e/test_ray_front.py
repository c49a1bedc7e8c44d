"""`serve run` with our application: an engine, and fronts that die and find it again.

Runs with `--ray` alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

from tests.e2e.conftest import ADMIN_KEY, API_KEY
from tests.e2e.server import PATIENCE_S, START_S
from tests.e2e.test_ray import SOURCE, copy_of
from tests.fixtures.databases import free_port
from tests.fixtures.hosts import RayHost, environment
from tests.processes import descendants

pytestmark = pytest.mark.timeout(1500)

SWAPS, CLIENTS = 4, 4
ENGINE = {"dtype": "float32", "max_model_len": 512, "enforce_eager": True}
KEYS = {
    "LORABAY_API_KEY": API_KEY,
    "LORABAY_ADMIN_KEY": ADMIN_KEY,
    # As high as this run, on a machine that others use.
    "RAY_worker_niceness": "0",
}


class Served:
    """A running `serve run`, over HTTP and as processes."""

    def __init__(self, config: Path, port: int, log: Path, environ: Mapping[str, str]) -> None:
        program = Path(sys.executable).with_name("serve")
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [program, "run", config], env=environ, stdout=output, stderr=output
            )
        self.url = f"http://127.0.0.1:{port}"
        self._log = log

    def wait_until_ready(self) -> float:
        """Return the seconds until it is."""
        began = time.monotonic()
        while time.monotonic() - began < START_S:
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ready", timeout=10).status_code == 200:
                    return time.monotonic() - began
            time.sleep(0.5)
        raise AssertionError(self._log.read_text()[-3000:])

    def end(self) -> None:
        """Interrupt it, and kill what is left of it after a while."""
        others = descendants(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        if self.process.poll() is None:
            self.process.kill()
        for process in others:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def replicas(pid: int, name: str) -> set[int]:
    """The processes of a deployment, among those that a process has started."""
    found = set()
    for process in descendants(pid):
        with suppress(psutil.NoSuchProcess):
            if f"ServeReplica:{name}" in " ".join(process.cmdline()):
                found.add(process.pid)
    return found


def write_config(work: Path, port: int, arguments: Mapping[str, Any]) -> Path:
    """Write what `serve run` reads."""
    application = {
        "name": "lorabay",
        "route_prefix": "/",
        "import_path": "lorabay.server.ray_front:application",
        "args": dict(arguments),
    }
    config = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [application]}
    (work / "serve.yaml").write_text(yaml.safe_dump(config))
    return work / "serve.yaml"


@pytest.fixture(scope="module")
def served(
    base_folder: Path, adapters: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One front and one engine, on a Ray that `serve run` starts."""
    work = tmp_path_factory.mktemp("serve-run")
    port = free_port()
    arguments = {
        "base": str(base_folder),
        "adapters": str(adapters),
        "store": str(work / "store"),
        "ray_replicas": 1,
        "engine": ENGINE,
    }
    running = Served(
        write_config(work, port, arguments), port, work / "serve.log", os.environ | KEYS
    )
    yield running
    running.end()


class TwoFronts:
    """A running `serve run` with two fronts, on a Ray of this test's own."""

    def __init__(self, served: Served, host: RayHost, folder: Path) -> None:
        self.served = served
        self.host = host
        self.folder = folder

    def fronts(self) -> set[int]:
        """The processes of its fronts."""
        return replicas(self.host.process.pid, "lorabay:front")


@pytest.fixture
def two_fronts(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TwoFronts]:
    folder = tmp_path / "adapters"
    copy_of(SOURCE, folder / "finance", 1.0)
    # Fronts find their keys where they run: in what Ray was started with.
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    ray_port, port = free_port(), free_port()
    head = [
        *("--head", "--port", str(ray_port), "--node-ip-address", "127.0.0.1"),
        *("--include-dashboard", "false", "--num-cpus", "4"),
    ]
    host = RayHost(head, (), 0, tmp_path / "ray.log")
    host.wait_until_up()
    arguments = {
        "base": str(base_folder),
        "adapters": str(folder),
        "store": str(tmp_path / "store"),
        "database": f"sqlite:///{tmp_path / 'lorabay.db'}",
        "cluster": "shop",
        "ray_fronts": 2,
        "ray_replicas": 1,
        "settle_s": 0.2,
        "poll_s": 1,
        "engine": ENGINE,
    }
    config = write_config(tmp_path, port, arguments)
    environ = environment() | {"RAY_ADDRESS": f"127.0.0.1:{ray_port}"}
    running = Served(config, port, tmp_path / "serve.log", environ)
    yield TwoFronts(running, host, folder)
    running.end()
    host.remove()


def ask(url: str, key: str = API_KEY) -> httpx.Response:
    body = {"model": "finance", "prompt": "Hello", "max_tokens": 8, "stream": True}
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/completions", json=body, headers=headers, timeout=120)


def test_it_answers_behind_rays_proxy(served: Served, figures: list[str]) -> None:
    """Streams, keys and errors are those of a server."""
    figures.append(f"serve run: ready after {served.wait_until_ready():.0f} s")
    answer = ask(served.url)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith("data: [DONE]")
    assert ask(served.url, "wrong").status_code == 401


def test_a_killed_front_finds_its_engine(served: Served, figures: list[str]) -> None:
    """Another front answers, and the engine is the same process."""
    pid = served.process.pid
    (front,) = replicas(pid, "lorabay:front")
    engines = replicas(pid, "lorabay-engines:engine")
    assert len(engines) == 1
    os.kill(front, signal.SIGKILL)
    while front in replicas(pid, "lorabay:front"):
        time.sleep(0.1)
    took_s = served.wait_until_ready()
    figures.append(f"serve run: a killed front is back after {took_s:.0f} s")
    assert replicas(pid, "lorabay-engines:engine") == engines
    assert ask(served.url).status_code == 200


class Clients:
    """Clients that ask over and over, each with the versions that it has seen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.seen: list[list[str]] = [[] for _ in range(CLIENTS)]
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._follow, args=(own,)) for own in self.seen]
        for thread in self._threads:
            thread.start()

    def _follow(self, own: list[str]) -> None:
        while not self._stop.is_set():
            answer = ask(self._url)
            if answer.status_code == 200 and '"error"' not in answer.text:
                own.append(answer.headers["x-adapter-version"])
            else:
                self.failed.append(answer.text)

    def end(self) -> None:
        """Return after their running answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def new_version(url: str, known: list[str]) -> str:
    """The first version that is not known, as soon as it answers."""
    began = time.monotonic()
    while (version := ask(url).headers.get("x-adapter-version")) in (*known, None):
        assert time.monotonic() - began < PATIENCE_S
    return str(version)


def test_two_fronts_have_one_set_of_names(two_fronts: TwoFronts, figures: list[str]) -> None:
    """Ray's proxy asks whichever it likes: nobody goes back, not even when one is killed."""
    url = two_fronts.served.url
    two_fronts.served.wait_until_ready()
    while len(two_fronts.fronts()) < 2:
        time.sleep(0.5)

    order = [new_version(url, [])]
    clients = Clients(url)
    for number in range(SWAPS):
        if number == SWAPS - 1:
            os.kill(min(two_fronts.fronts()), signal.SIGKILL)
        copy_of(SOURCE, two_fronts.folder / "finance", 2 + number / 64)
        order.append(new_version(url, order))
    clients.end()

    figures.append(
        f"serve run, two fronts: {SWAPS} swaps, {sum(map(len, clients.seen))} answers, "
        f"{len(clients.failed)} failed when a front was killed"
    )
    # What the killed front was answering ends with it.
    assert len(clients.failed) <= CLIENTS, clients.failed
    for own in clients.seen:
        places = [order.index(version) for version in own]
        assert places == sorted(places)
