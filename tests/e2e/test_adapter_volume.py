"""The volume of the adapters goes away and comes back while clients ask, on the real engine."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ADAPTERS, API_KEY
from tests.e2e.folders import eventually
from tests.e2e.server import Server, metric

STREAMS = 3
LOOK_S = 2.0
"""The server's `--poll-s`."""


class Clients:
    """Clients that ask every adapter in turn, and what they were answered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.answers: Counter[tuple[str, int, str | None]] = Counter()
        self.count = 0

    def ask(self, model: str) -> httpx.Response:
        body = {"model": model, "prompt": "Good morning", "max_tokens": 1, "temperature": 0}
        headers = {"authorization": f"Bearer {API_KEY}"}
        return httpx.post(f"{self._url}/v1/completions", json=body, headers=headers, timeout=120)

    def _run(self) -> None:
        while not self._stop.is_set():
            for model in ADAPTERS:
                response = self.ask(model)
                version = response.headers.get("x-adapter-version")
                self.answers[model, response.status_code, version] += 1
                self.count += 1

    def go_on(self) -> None:
        """Return when every client has asked every adapter again."""
        enough = self.count + 2 * STREAMS * len(ADAPTERS)
        eventually(lambda: self.count >= enough, "clients are answered", 300)

    @contextmanager
    def running(self) -> Iterator[None]:
        with ThreadPoolExecutor(STREAMS) as threads:
            runs = [threads.submit(self._run) for _ in range(STREAMS)]
            try:
                yield
            finally:
                self._stop.set()
        for run in runs:
            run.result()


def state(server: Server, name: str) -> bool:
    return metric(server.url, "lorabay_directory_state", state=name) == 1


def leave_nothing(adapters: Path, volume: Path) -> None:
    """As where the path itself belonged to the volume."""


def leave_a_mount_point(adapters: Path, volume: Path) -> None:
    """As after `umount`."""
    adapters.mkdir()


def leave_another(adapters: Path, volume: Path) -> None:
    """As after a mount of an older copy, in which adapters are missing."""
    adapters.mkdir()
    shutil.copytree(volume / ADAPTERS[0], adapters / ADAPTERS[0])


@pytest.mark.parametrize(
    ("leave", "away"),
    [
        (leave_nothing, "unreadable"),
        (leave_a_mount_point, "empty"),
        (leave_another, "replaced"),
    ],
)
def test_clients_do_not_notice_that_the_volume_is_away(
    server: Server, adapters: Path, leave: Callable[[Path, Path], None], away: str
) -> None:
    """Every request is answered by the version that was live, and all adapters are there after,
    whatever lies in the volume's place meanwhile.
    """
    clients = Clients(server.url)
    before = {model: clients.ask(model).headers["x-adapter-version"] for model in ADAPTERS}
    aside = adapters.with_name(f"{adapters.name}-volume")

    with clients.running():
        clients.go_on()
        adapters.rename(aside)
        leave(adapters, aside)
        eventually(lambda: state(server, away), "the server has looked", 30 + LOOK_S)
        clients.go_on()

        shutil.rmtree(adapters, ignore_errors=True)
        aside.rename(adapters)
        eventually(lambda: state(server, "ready"), "the server has looked again", 90 + LOOK_S)
        clients.go_on()

    assert set(clients.answers) == {(model, 200, version) for model, version in before.items()}
