"""What an open console costs the engine: the processor time that the server spends on it.

Where engine and server share their cores, tokens are lost in that proportion. Tokens a second
themselves tell less: from turn to turn they vary by far more than the hundredth that is looked for.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from lorabay.bench.alternation import alternate
from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY, REPOSITORY
from tests.e2e.server import PATIENCE_S, Server
from tests.processes import descendants

pytestmark = pytest.mark.timeout(1800)

ROUNDS = 3
TURN_S = 30.0
"""Three spans of the last hour: as often does the page ask for figures."""

MOST = 0.01


def test_an_open_console_costs_little(server: Server, figures: list[str]) -> None:
    """At most a hundredth of what all cores compute."""
    for adapter in ADAPTERS:
        ask(server.url, adapter)
    turns = alternate(
        {"without": lambda _: cores_used(server), "with": lambda _: with_console(server)}, ROUNDS
    )
    used = {
        side: statistics.median(turn.value for turn in turns if turn.side == side)
        for side in ("without", "with")
    }
    cost_s = used["with"] - used["without"]
    share = cost_s / (os.cpu_count() or 1)
    figures.append(
        f"console: an open one costs {cost_s * 1000:.1f} ms of a core a second "
        f"({used['without'] * 1000:.1f} ms without, {used['with'] * 1000:.1f} ms with), "
        f"{share:.2%} of all cores"
    )
    assert share <= MOST


def ask(url: str, model: str) -> None:
    """Put an adapter into the figures of the last hour."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 8}
    headers = {"authorization": f"Bearer {API_KEY}"}
    answer = httpx.post(
        f"{url}/v1/chat/completions", json=body, headers=headers, timeout=PATIENCE_S
    )
    answer.raise_for_status()


def with_console(server: Server) -> float:
    """Return the cores that are used beside an open console."""
    with console(server.url):
        return cores_used(server)


@contextmanager
def console(url: str) -> Iterator[None]:
    """Keep a console open while the block lasts."""
    command = [sys.executable, "-m", "tests.e2e.idle_console", url, ADMIN_KEY]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "follows\n"
            yield
        finally:
            follower.kill()


def cores_used(server: Server) -> float:
    """Return the seconds of processor time that all of a server uses a second, for one turn."""
    before, began = processor_s(server), time.monotonic()
    time.sleep(TURN_S)
    return (processor_s(server) - before) / (time.monotonic() - began)


def processor_s(server: Server) -> float:
    processes = [psutil.Process(server.process.pid), *descendants(server.process.pid)]
    times = [process.cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)
