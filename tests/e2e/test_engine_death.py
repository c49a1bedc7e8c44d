"""The engine process dies; the server does not."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from openai import OpenAI

from tests.e2e.conftest import MODELS
from tests.e2e.folders import eventually
from tests.e2e.long_streams import end_of_long_stream
from tests.e2e.server import Server, metric


def engine_processes(server: Server) -> list[int]:
    return [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]


def kill_engine(server: Server) -> None:
    """SIGKILL the process that holds the model: the largest of the server's children."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    largest = max(children, key=lambda child: child.memory_info().rss)
    os.kill(largest.pid, signal.SIGKILL)


@pytest.mark.timeout(1200)
def test_kill_9_of_the_engine_under_load(
    client: OpenAI,
    server: Server,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Running requests end with a clean error, new ones get 503 with Retry-After, `/health` stays,
    and then all four models answer again without anybody's help; as often as it happens."""
    before = metric(server.url, "lorabay_engine_restarts_total")
    kills = request.config.getoption("--engine-kills")
    for kill in range(kills):
        seconds = kill_under_load(client, server)
        with capsys.disabled():
            sys.stdout.write(
                f"\nengine killed ({kill + 1} of {kills}): first error after {seconds[0]:.2f} s, "
                f"503 after {seconds[1]:.2f} s, serving after {seconds[2]:.1f} s\n"
            )
    for model in MODELS:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=4
        )
        assert answer.choices[0].message.content
    assert metric(server.url, "lorabay_engine_restarts_total") == before + kills


def kill_under_load(client: OpenAI, server: Server) -> tuple[float, float, float]:
    """Kill it under eight streams; gives the seconds to the first error, to `/ready` 503, and to an
    answer again.
    """

    def end_and_time(model: str) -> tuple[str, float]:
        return end_of_long_stream(client, model), time.monotonic()

    with ThreadPoolExecutor(9) as pool:
        streams = [pool.submit(end_and_time, model) for model in MODELS * 2]
        eventually(
            lambda: metric(server.url, "vllm:num_requests_running") == 8, "8 streams run", 60
        )
        killed = time.monotonic()
        kill_engine(server)
        not_ready = eventually(
            lambda: httpx.get(f"{server.url}/ready").status_code == 503, "not ready"
        )
        outcomes = [stream.result(60) for stream in streams]
    assert {code for code, _ in outcomes} == {"engine_unavailable"}
    assert httpx.get(f"{server.url}/health").status_code == 200
    refused = ask(server, client.api_key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    eventually(lambda: ask(server, client.api_key).status_code == 200, "the engine is back", 250)
    back = time.monotonic() - killed
    eventually(lambda: httpx.get(f"{server.url}/ready").status_code == 200, "ready again", 60)
    return min(when for _, when in outcomes) - killed, not_ready, back


def ask(server: Server, key: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        json={"model": MODELS[1], "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
