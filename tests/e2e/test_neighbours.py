"""One hostile client beside an honest one: what it sends costs itself, and nobody else.

The honest client streams from another adapter. For each hostile kind its longest gap is measured
alone, beside the hostile client, and after that has left. All three are measured on one machine
that others may be using, so a bad round is repeated, and medians are compared. Runs with
`--neighbours N` alone: N rounds in any case, and N times as many generated requests.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.e2e.conftest import API_KEY
from tests.e2e.hostile import (
    GENERATED,
    KINDS,
    Kind,
    Outcomes,
    Target,
    constrained,
    examples,
    posting,
)
from tests.e2e.server import Server

ROOT = Path(__file__).parents[2]
CHAT = "/v1/chat/completions"

ALONE_S, BESIDE_S, AFTER_S = 1.5, 4.0, 1.5
RECOVERY_S = 2.0
"""Time in which a stream is back to normal when the hostile client has left."""

RATIO = 3.0
SHORTEST_GAP_S = 0.1
"""A gap that a busy machine makes by itself."""

ROUNDS = 3
GENERATED_AT_ONCE = 4
QUIET_AFTER_S = 5.0
QUIET_SHARE = 0.05


class Honest:
    """The honest client, in a process of its own, and the times at which its tokens came."""

    def __init__(self, target: Target, model: str) -> None:
        self._tokens: list[float] = []
        self.complaints: list[str] = []
        arguments = [target.host, str(target.port), target.key, model]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.honest", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._tokens.append(float(line))
            except ValueError:
                self.complaints.append(line.strip())

    def wait_for_tokens(self, count: int = 10) -> None:
        """Return when the stream is under way."""
        deadline = time.monotonic() + 60
        while len(self._tokens) < count:
            assert time.monotonic() < deadline, self.complaints
            time.sleep(0.05)

    def longest_gap(self, seconds: float) -> float:
        """Return the longest time without a token in the next seconds."""
        since = time.monotonic()
        time.sleep(seconds)
        until = time.monotonic()
        tokens = list(self._tokens)
        before = max((token for token in tokens if token < since), default=since)
        marks = [before, *(token for token in tokens if since <= token <= until), until]
        return max(later - earlier for earlier, later in pairwise(marks))

    def __enter__(self) -> Self:
        self.wait_for_tokens()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


@dataclass(frozen=True)
class Round:
    """Longest gaps of the honest client, in seconds."""

    alone: float
    beside: float
    after: float


@dataclass(frozen=True)
class Verdict:
    """What one kind did to the honest client over some rounds."""

    rounds: list[Round]
    outcomes: Outcomes

    def median(self, name: str) -> float:
        return statistics.median(getattr(one, name) for one in self.rounds)

    @property
    def limit(self) -> float:
        return RATIO * max(self.median("alone"), SHORTEST_GAP_S)

    @property
    def is_good(self) -> bool:
        return max(self.median("beside"), self.median("after")) <= self.limit

    def row(self, kind: str) -> str:
        alone, beside, after = (self.median(name) for name in ("alone", "beside", "after"))
        became = ", ".join(f"{what}: {count}" for what, count in self.outcomes.items())
        return (
            f"{kind:<36} alone {alone:5.2f} s  beside {beside:5.2f} s  x{beside / alone:4.1f}  "
            f"after {after:5.2f} s  {became}"
        )


@pytest.fixture(scope="module")
def target(server: Server) -> Target:
    address = urlsplit(server.url)
    assert address.hostname is not None
    assert address.port is not None
    return Target(address.hostname, address.port, API_KEY)


@pytest.fixture
def honest(target: Target) -> Iterator[Honest]:
    with Honest(target, "ecommerce") as client:
        yield client


def go(target: Target, kind: Kind, honest: Honest, outcomes: Outcomes) -> Round:
    """Take one round."""
    alone = honest.longest_gap(ALONE_S)
    stop = threading.Event()
    client = threading.Thread(target=kind, args=(target, stop, outcomes))
    client.start()
    beside = honest.longest_gap(BESIDE_S)
    stop.set()
    client.join()
    time.sleep(RECOVERY_S)
    return Round(alone, beside, honest.longest_gap(AFTER_S))


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """Rounds that are taken in any case."""
    return int(request.config.getoption("--neighbours"))


@pytest.mark.parametrize("name", [*KINDS, *GENERATED])
def test_a_hostile_client_hurts_itself(
    target: Target,
    honest: Honest,
    server: Server,
    figures: list[str],
    rounds: int,
    name: str,
) -> None:
    """The honest stream's longest gap beside it is at most three times that alone, and normal two
    seconds after it has left; nothing that it sends is the server's mistake.
    """
    kind = KINDS.get(name) or posting(CHAT, *examples(GENERATED[name], rounds * GENERATED_AT_ONCE))
    verdict = Verdict([], Counter())
    while len(verdict.rounds) < rounds or (
        not verdict.is_good and len(verdict.rounds) < max(rounds, ROUNDS)
    ):
        verdict.rounds.append(go(target, kind, honest, verdict.outcomes))

    row = verdict.row(name)
    figures.append(row)
    sys.stdout.write(row + "\n")
    assert server.process.poll() is None
    assert honest.complaints == []
    assert verdict.is_good, row
    assert not [code for code in verdict.outcomes if isinstance(code, int) and code >= 500], row


def test_no_adapter_was_blamed(http: httpx.Client, admin: httpx.Client) -> None:
    """Neither the hostile client's adapter nor the honest one's is in quarantine."""
    for adapter in admin.get("/admin/adapters").json()["adapters"]:
        assert adapter["state"] in {"ready", "rejected"}, adapter
    body = {"model": "finance", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    assert http.post(CHAT, json=body).status_code == 200


def test_what_everybody_has_left_stops(
    target: Target, http: httpx.Client, server: Server, figures: list[str]
) -> None:
    """Five seconds after the last client the server's processes are idle."""
    # The first grammar starts the process that tries them, which takes a core for ten seconds once.
    assert http.post(CHAT, json=constrained(regex="a|b")).status_code == 200

    stop = threading.Event()
    clients = [
        threading.Thread(target=kind, args=(target, stop, Counter()), daemon=True)
        for kind in KINDS.values()
    ]
    for client in clients:
        client.start()
    time.sleep(BESIDE_S)
    stop.set()
    for client in clients:
        client.join()

    time.sleep(QUIET_AFTER_S)
    share = cpu_share(server.process.pid, seconds=3.0)
    figures.append(f"{'all at once, after all have left':<36} {100 * share:.1f} % of a core")
    assert share <= QUIET_SHARE


def cpu_share(pid: int, seconds: float) -> float:
    """Return what a process and all below it use of one core."""
    before = cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / seconds


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of all below it that still run."""
    root = psutil.Process(pid)
    used = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system
    return used
