"""`serve run` with our application: an engine and a front that dies and finds it again.

Runs with `--ray` alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from tests.e2e.conftest import ADMIN_KEY, API_KEY
from tests.e2e.server import START_S
from tests.fixtures.databases import free_port
from tests.processes import descendants

pytestmark = pytest.mark.timeout(1500)


class Served:
    """A running `serve run`, over HTTP and as processes."""

    def __init__(self, config: Path, port: int, log: Path) -> None:
        program = Path(sys.executable).with_name("serve")
        keys = {"LORABAY_API_KEY": API_KEY, "LORABAY_ADMIN_KEY": ADMIN_KEY}
        # As high as this run, on a machine that others use.
        keys |= {"RAY_worker_niceness": "0"}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [program, "run", config], env=os.environ | keys, stdout=output, stderr=output
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

    def replicas(self, name: str) -> set[int]:
        """The processes of a deployment."""
        found = set()
        for process in descendants(self.process.pid):
            with suppress(psutil.NoSuchProcess):
                if f"ServeReplica:{name}" in " ".join(process.cmdline()):
                    found.add(process.pid)
        return found


@pytest.fixture(scope="module")
def served(
    base_folder: Path, adapters: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    work = tmp_path_factory.mktemp("serve-run")
    port = free_port()
    arguments = {
        "base": str(base_folder),
        "adapters": str(adapters),
        "store": str(work / "store"),
        "ray_replicas": 1,
        "engine": {"dtype": "float32", "max_model_len": 512, "enforce_eager": True},
    }
    application = {
        "name": "lorabay",
        "route_prefix": "/",
        "import_path": "lorabay.server.ray_front:application",
        "args": arguments,
    }
    config = {"http_options": {"host": "127.0.0.1", "port": port}, "applications": [application]}
    (work / "serve.yaml").write_text(yaml.safe_dump(config))

    running = Served(work / "serve.yaml", port, work / "serve.log")
    yield running
    others = descendants(running.process.pid)
    running.process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(60)
    for process in [psutil.Process(running.process.pid)] if running.process.poll() is None else []:
        process.kill()
    for process in others:
        with suppress(psutil.NoSuchProcess):
            process.kill()


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
    (front,) = served.replicas("lorabay:front")
    engines = served.replicas("lorabay-engines:engine")
    assert len(engines) == 1
    os.kill(front, signal.SIGKILL)
    while front in served.replicas("lorabay:front"):
        time.sleep(0.1)
    took_s = served.wait_until_ready()
    figures.append(f"serve run: a killed front is back after {took_s:.0f} s")
    assert served.replicas("lorabay-engines:engine") == engines
    assert ask(served.url).status_code == 200
