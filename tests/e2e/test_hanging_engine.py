"""The engine hangs; the server notices, and rebuilds it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from openai import OpenAI

from tests.e2e.conftest import HANG_S, MODELS
from tests.e2e.folders import eventually
from tests.e2e.long_streams import end_of_long_stream
from tests.e2e.server import PATIENCE_S, Server, metric
from tests.e2e.test_engine_death import BACK_S, ask, worker_of
from tests.processes import lives

STREAMS = 4
STORY = "Tell me another long story."
SLACK_S = 20.0
"""What a busy machine may add to the time in which a hang is noticed."""


@contextmanager
def streams(client: OpenAI, server: Server) -> Iterator[list[Future[str]]]:
    """Long streams that run; each ends in the code of its error."""

    with ThreadPoolExecutor(STREAMS) as pool:
        running = [pool.submit(end_of_long_stream, client, model, STORY) for model in MODELS]
        eventually(
            lambda: metric(server.url, "vllm:num_requests_running") == STREAMS, "streams run"
        )
        yield running


@pytest.mark.timeout(1200)
def test_a_worker_that_is_stopped_under_load(client: OpenAI, server: Server) -> None:
    """Running requests end with a clean error, `/ready` says 503 within the set time, `/health`
    stays, and everything answers again without anybody's help.
    """
    with streams(client, server) as running:
        check_rebuilt(server, client.api_key, worker_of(server).pid)
        assert {stream.result(PATIENCE_S) for stream in running} == {"engine_unavailable"}
    for model in MODELS:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=4
        )
        assert answer.choices[0].message.content


def check_rebuilt(server: Server, key: str, pid: int) -> None:
    """Stop a process of the engine; returns when the server has rebuilt the engine."""
    before = metric(server.url, "lorabay_engine_restarts_total", reason="hung")
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: server.status("/ready") == 503, "not ready", HANG_S + SLACK_S)
    assert server.status("/health") == 200

    eventually(lambda: ask(server, key).status_code == 200, "the engine is back", BACK_S)
    eventually(lambda: server.status("/ready") == 200, "ready again")
    assert not lives(pid)
    assert metric(server.url, "lorabay_engine_restarts_total", reason="hung") == before + 1
