"""The engine hangs; the server notices, and rebuilds it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psutil
import pytest
from openai import OpenAI

from tests.e2e.conftest import HANG_S, MODELS
from tests.e2e.folders import eventually
from tests.e2e.long_streams import end_of_long_stream
from tests.e2e.server import Server, metric
from tests.e2e.test_engine_death import ask

STREAMS = 4


def worker_of(server: Server) -> psutil.Process:
    """Return the process that holds the model: the largest of the server's children."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return max(children, key=lambda child: child.memory_info().rss)


@contextmanager
def streams(client: OpenAI, server: Server) -> Iterator[list[Future[str]]]:
    """Long streams that run; each ends in the code of its error."""

    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(end_of_long_stream, client, model) for model in MODELS]
        eventually(
            lambda: metric(server.url, "vllm:num_requests_running") == STREAMS, "streams run", 60
        )
        yield running


@pytest.mark.timeout(1200)
def test_a_worker_that_is_stopped_under_load(client: OpenAI, server: Server) -> None:
    """Running requests end with a clean error, `/ready` says 503 within the set time, `/health`
    stays, and everything answers again without anybody's help.
    """
    with streams(client, server) as running:
        check_rebuilt(server, client.api_key, worker_of(server).pid)
        assert {stream.result(60) for stream in running} == {"engine_unavailable"}
    for model in MODELS:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=4
        )
        assert answer.choices[0].message.content


def check_rebuilt(server: Server, key: str, pid: int) -> None:
    """Stop a process of the engine; returns when the server has rebuilt the engine."""
    before = metric(server.url, "lorabay_engine_restarts_total", reason="hung")
    os.kill(pid, signal.SIGSTOP)
    stopped = time.monotonic()

    eventually(lambda: httpx.get(f"{server.url}/ready").status_code == 503, "not ready", HANG_S + 5)
    assert time.monotonic() - stopped < HANG_S + 5
    assert httpx.get(f"{server.url}/health").status_code == 200

    eventually(lambda: ask(server, key).status_code == 200, "the engine is back", 250)
    eventually(lambda: httpx.get(f"{server.url}/ready").status_code == 200, "ready again", 60)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert metric(server.url, "lorabay_engine_restarts_total", reason="hung") == before + 1
