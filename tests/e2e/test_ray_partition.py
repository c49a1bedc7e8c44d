"""Two engines on two hosts, one of which is cut off: nobody is told, packets are only lost.

Runs with `--partition` alone, as root: the hosts are this machine and a network namespace.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ADMIN_KEY, API_KEY
from tests.e2e.server import PATIENCE_S, Server, metric
from tests.e2e.test_ray import NAMES, SOURCE, copy_of
from tests.fixtures.hosts import Hosts, environment

pytestmark = pytest.mark.timeout(1800)

SLOTS = 4
TOKENS = 300
SHORT_S = 3.0
"""A cut that a cluster must stand."""
GIVEN_UP_S = 180.0
"""How long Ray may take to give a host up, on a machine that others use."""
FLAGS = (
    *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--settle-s", "0.2", "--poll-s", "1"),
    *("--ray-replicas", "2", "--grace-s", "30"),
    *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
    *("--engine", "max_num_seqs=16", "--engine", "enforce_eager=true"),
    *("--engine", f"max_loras={SLOTS}", "--engine", "max_cpu_loras=9"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight adapters: copies of one, each with weights of its own by a hair."""
    made = tmp_path_factory.mktemp("partition-adapters")
    for number, name in enumerate(NAMES):
        copy_of(SOURCE, made / name, 1 + number / 64)
    return made


@pytest.fixture(scope="module")
def cluster(
    base_folder: Path, folder: Path, hosts: Hosts, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    work = tmp_path_factory.mktemp("partition")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(folder), "--store", str(work / "store")),
        *("--ray-address", hosts.address, *FLAGS),
    ]
    with Server(arguments, log=work / "server.log", environ=environment()) as running:
        running.wait_for("ready")
        assert (len(hosts.here.replicas()), len(hosts.there.replicas())) == (1, 1)
        yield running


@pytest.fixture(scope="module")
def http(cluster: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    limits = httpx.Limits(max_connections=100)
    with httpx.Client(
        base_url=cluster.url, headers=headers, timeout=GIVEN_UP_S, limits=limits
    ) as client:
        yield client


@dataclass
class Stream:
    """One stream as its client sees it."""

    began: threading.Event = field(default_factory=threading.Event)
    lines: list[str] = field(default_factory=list)
    ended_at: float = 0.0

    def run(self, http: httpx.Client, model: str) -> None:
        """Read it to its end."""
        body = {"model": model, "prompt": "Hello", "max_tokens": TOKENS, "ignore_eos": True}
        with http.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
            for line in response.iter_lines():
                if line:
                    self.lines.append(line)
                    self.began.set()
        self.ended_at = time.monotonic()

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end."""
        return bool(self.lines) and self.lines[-1] == "data: [DONE]" and not self.tells_an_error

    @property
    def tells_an_error(self) -> bool:
        """Whether one of its events says what went wrong."""
        return any('"error"' in line for line in self.lines)


def with_streams(http: httpx.Client, act: Callable[[], None]) -> list[Stream]:
    """Have a stream of every adapter run, act once all have begun, and return them ended."""
    streams = [Stream() for _ in NAMES]
    with ThreadPoolExecutor(len(streams)) as pool:
        ends = [pool.submit(one.run, http, name) for one, name in zip(streams, NAMES, strict=True)]
        for one in streams:
            assert one.began.wait(PATIENCE_S)
        act()
        for end in ends:
            end.result()
    return streams


def ask(http: httpx.Client, model: str) -> httpx.Response:
    return http.post("/v1/completions", json={"model": model, "prompt": "Hello", "max_tokens": 2})


def test_a_short_cut_loses_nothing(cluster: Server, http: httpx.Client, hosts: Hosts) -> None:
    """Streams of both hosts come to their ends."""

    def cut() -> None:
        hosts.cable.pull()
        time.sleep(SHORT_S)
        hosts.cable.plug()

    assert all(one.is_whole for one in with_streams(http, cut))


def test_a_host_that_is_cut_off_takes_its_own_requests_with_it(
    cluster: Server, http: httpx.Client, hosts: Hosts, folder: Path, figures: list[str]
) -> None:
    """Their streams end with an event; everybody else goes on, and a new version comes up."""
    cut_at = 0.0
    before = ask(http, NAMES[0]).headers["x-adapter-version"]

    def cut() -> None:
        nonlocal cut_at
        hosts.cable.pull()
        cut_at = time.monotonic()
        copy_of(SOURCE, folder / NAMES[0], 3.0)

    streams = with_streams(http, cut)
    broken = [one for one in streams if not one.is_whole]
    assert 1 <= len(broken) < len(streams)
    assert all(one.tells_an_error for one in broken)
    figures.append(
        f"partition: {len(broken)} of {len(streams)} streams ended with an event after "
        f"{min(one.ended_at for one in broken) - cut_at:.0f} to "
        f"{max(one.ended_at for one in broken) - cut_at:.0f} s; the others after "
        f"{max(one.ended_at for one in streams if one.is_whole) - cut_at:.0f} s at the most"
    )

    assert [ask(http, name).status_code for name in NAMES] == [200] * len(NAMES)
    while ask(http, NAMES[0]).headers["x-adapter-version"] == before:
        assert time.monotonic() - cut_at < 2 * GIVEN_UP_S
        time.sleep(0.2)
    figures.append(
        f"partition: a version that came with it is live after {time.monotonic() - cut_at:.0f} s"
    )


def test_requests_while_a_host_is_given_up(
    cluster: Server, http: httpx.Client, hosts: Hosts, figures: list[str]
) -> None:
    """The host comes back, and is cut off once more: what was asked then is answered or told to
    ask again, and waits no longer than until the host is given up.
    """
    hosts.cable.plug()
    began = time.monotonic()
    hosts.there.end()
    hosts.there.start()
    while metric(cluster.url, "vllm:max_gpu_lora_adapters") < 2 * SLOTS:
        assert time.monotonic() - began < 2 * GIVEN_UP_S
    figures.append(f"partition: two engines again {time.monotonic() - began:.0f} s after the cable")

    assert [ask(http, name).status_code for name in NAMES] == [200] * len(NAMES)
    waits: list[float] = []
    statuses: list[int] = []
    hosts.cable.pull()
    began = time.monotonic()

    def drive(name: str) -> None:
        while time.monotonic() - began < GIVEN_UP_S / 2:
            asked_at = time.monotonic()
            statuses.append(ask(http, name).status_code)
            waits.append(time.monotonic() - asked_at)
            time.sleep(0.5)

    with ThreadPoolExecutor(len(NAMES)) as pool:
        for one in [pool.submit(drive, name) for name in NAMES]:
            one.result()
    failed = len([status for status in statuses if status != 200])
    figures.append(
        f"partition: {len(statuses)} requests while a host is given up: {failed} told to ask "
        f"again, the longest wait {max(waits):.0f} s, {sum(wait > 5 for wait in waits)} above 5 s"
    )
    assert set(statuses) <= {200, 503}
    hosts.cable.plug()
