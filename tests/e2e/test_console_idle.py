"""What an open console costs the engine: tokens a second with one and without, turn by turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from lorabay.bench.alternation import alternate
from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY, REPOSITORY
from tests.e2e.server import PATIENCE_S, Server, metric

pytestmark = pytest.mark.timeout(1800)

STREAMS = 8
ROUNDS = 12
TURN_S = 20.0
SETTLES_S = 2.0
LEAST = 0.99


def test_an_open_console_costs_little(server: Server, figures: list[str]) -> None:
    """At most a hundredth of the tokens, by the median of neighbouring turns."""
    with load(server.url):
        turns = alternate(
            {"without": lambda _: rate(server.url), "with": lambda _: with_console(server.url)},
            ROUNDS,
        )
    rates = {(turn.side, turn.round): turn.value for turn in turns}
    shares = [rates["with", one] / rates["without", one] for one in range(ROUNDS)]
    share = statistics.median(shares)
    figures.append(
        f"console: {share:.3f} of the tokens a second with an open console, rounds "
        f"{min(shares):.3f} to {max(shares):.3f}"
    )
    assert share >= LEAST


def with_console(url: str) -> float:
    """Return tokens a second beside an open console."""
    command = [sys.executable, "-m", "tests.e2e.idle_console", url, ADMIN_KEY]
    console = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        return rate(url)
    finally:
        console.kill()
        console.wait()


def rate(url: str) -> float:
    """Return the tokens a second of one turn, after a moment to settle."""
    time.sleep(SETTLES_S)
    before, began = generated(url), time.monotonic()
    time.sleep(TURN_S)
    return (generated(url) - before) / (time.monotonic() - began)


def generated(url: str) -> float:
    return metric(url, "vllm:generation_tokens_total")


@contextmanager
def load(url: str) -> Iterator[None]:
    """Keep streams running over all adapters while the block lasts."""
    is_over = threading.Event()
    threads = [
        threading.Thread(target=stream, args=(url, ADAPTERS[number % len(ADAPTERS)], is_over))
        for number in range(STREAMS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join(PATIENCE_S)


def stream(url: str, model: str, is_over: threading.Event) -> None:
    """Ask one adapter again and again."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "Tell me of the sea."}],
        "max_tokens": 128,
        "ignore_eos": True,
    }
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=PATIENCE_S) as client:
        while not is_over.is_set():
            client.post("/v1/chat/completions", json=body).raise_for_status()
