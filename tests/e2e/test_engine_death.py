"""The engine process dies; the server does not."""

from __future__ import annotations

import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import psutil
import pytest
from openai import OpenAI

from tests.e2e.conftest import MODELS
from tests.e2e.folders import eventually
from tests.e2e.server import Server, metric


def engine_processes(server: Server) -> list[int]:
    return [child.pid for child in psutil.Process(server.process.pid).children(recursive=True)]


def kill_engine(server: Server) -> None:
    """SIGKILL the process that holds the model: the largest of the server's children."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    largest = max(children, key=lambda child: child.memory_info().rss)
    os.kill(largest.pid, signal.SIGKILL)


def test_kill_9_of_the_engine_under_load(client: OpenAI, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Running requests end with a clean error, new ones get 503 with Retry-After, `/health` stays, and then all four
    models answer again without anybody's help."""
    before = metric(server.url, "lorabay_engine_restarts_total")

    def long_stream(model: str) -> str:
        try:
            for _ in client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": "Tell me a long story."}],
                max_tokens=1000,
                stream=True,
                extra_body={"ignore_eos": True},
            ):
                pass
        except openai.APIError as error:
            return str(error.code)
        return "finished"

    with ThreadPoolExecutor(8) as pool:
        streams = [pool.submit(long_stream, model) for model in MODELS * 2]
        eventually(lambda: metric(server.url, "vllm:num_requests_running") == 8, "8 streams run")
        killed = time.monotonic()
        kill_engine(server)
        outcomes = {stream.result(60) for stream in streams}
        first_error = time.monotonic() - killed
        assert outcomes == {"engine_unavailable"}
    assert httpx.get(f"{server.url}/ready").status_code == 503
    not_ready = time.monotonic() - killed
    assert httpx.get(f"{server.url}/health").status_code == 200
    refused = httpx.post(
        f"{server.url}/v1/chat/completions",
        json={"model": MODELS[0], "messages": []},
        headers={"authorization": f"Bearer {client.api_key}"},
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    eventually(lambda: httpx.get(f"{server.url}/ready").status_code == 200, "the engine is back", 250)
    with capsys.disabled():
        sys.stdout.write(
            f"\nengine killed: errors after {first_error:.2f} s, 503 after {not_ready:.2f} s, "
            f"ready after {time.monotonic() - killed:.1f} s\n"
        )
    for model in MODELS:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=4)
        assert answer.choices[0].message.content
    assert metric(server.url, "lorabay_engine_restarts_total") == before + 1
