"""The engine process dies; the server does not, and a request that kills hurts only its sender."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import openai
import psutil
import pytest
from openai import OpenAI

from tests.e2e.conftest import ADAPTERS, MODELS
from tests.e2e.folders import eventually
from tests.e2e.long_streams import end_of_long_stream, long_stream
from tests.e2e.server import PATIENCE_S, Server, metric
from tests.processes import descendants, resident_bytes

pytestmark = pytest.mark.timeout(1200)

STORY, POISON = "Tell me a long story.", "This  one kills."
ADAPTER = ADAPTERS[0]
PAUSE_S = 0.2
BACK_S = 250.0
"""Longest time until an engine is back."""


def worker_of(server: Server) -> psutil.Process:
    """Return the process that holds the model: the largest of the server's children."""
    return max(descendants(server.process.pid), key=resident_bytes)


def kill_engine(server: Server) -> None:
    """SIGKILL the process that holds the model."""
    os.kill(worker_of(server).pid, signal.SIGKILL)


class Death(NamedTuple):
    """Seconds from a kill to the first error, to `/ready` 503, and to an answer again."""

    first_error_s: float
    not_ready_s: float
    back_s: float


class Deaths(NamedTuple):
    """The deaths of the engine under load, and how often it had been restarted before."""

    seen: list[Death]
    restarts_before: float


@pytest.fixture(scope="module")
def deaths(client: OpenAI, server: Server, pytestconfig: pytest.Config) -> Deaths:
    """Kills under eight streams; at the first one the poison runs, too."""
    before = metric(server.url, "lorabay_engine_restarts_total")
    stories = [(model, STORY) for model in MODELS * 2]
    seen = [kill_under(client, server, [*stories, (ADAPTER, POISON)])]
    for _ in range(1, pytestconfig.getoption("--engine-kills")):
        seen.append(kill_under(client, server, stories))
    return Deaths(seen, before)


def kill_under(client: OpenAI, server: Server, asked: list[tuple[str, str]]) -> Death:
    """Kill the engine when all these streams run."""

    def end_and_time(model: str, text: str) -> tuple[str, float]:
        return end_of_long_stream(client, model, text), time.monotonic()

    with ThreadPoolExecutor(len(asked)) as pool:
        running = [pool.submit(end_and_time, *one) for one in asked]
        eventually(
            lambda: metric(server.url, "vllm:num_requests_running") == len(asked), "streams run"
        )
        killed = time.monotonic()
        kill_engine(server)
        not_ready_s = eventually(lambda: server.status("/ready") == 503, "not ready")
        outcomes = [one.result(PATIENCE_S) for one in running]
    assert {code for code, _ in outcomes} == {"engine_unavailable"}
    assert server.status("/health") == 200
    refused = ask(server, client.api_key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    eventually(lambda: ask(server, client.api_key).status_code == 200, "the engine is back", BACK_S)
    back_s = time.monotonic() - killed
    eventually(lambda: server.status("/ready") == 200, "ready again")
    return Death(min(when for _, when in outcomes) - killed, not_ready_s, back_s)


def ask(server: Server, key: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/chat/completions",
        json={"model": ADAPTER, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1},
        headers={"authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
    )


def test_kill_9_of_the_engine_under_load(
    client: OpenAI, server: Server, deaths: Deaths, capsys: pytest.CaptureFixture[str]
) -> None:
    """Running requests end with a clean error, new ones get 503 with Retry-After, `/health` stays,
    and then all four models answer again without anybody's help; as often as it happens."""
    with capsys.disabled():
        for number, death in enumerate(deaths.seen, 1):
            sys.stdout.write(
                f"\nengine killed ({number} of {len(deaths.seen)}): "
                f"first error after {death.first_error_s:.2f} s, "
                f"503 after {death.not_ready_s:.2f} s, serving after {death.back_s:.1f} s\n"
            )
    for model in MODELS:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=4
        )
        assert answer.choices[0].message.content
    restarts = metric(server.url, "lorabay_engine_restarts_total")
    assert restarts == deaths.restarts_before + len(deaths.seen)


@contextmanager
def another_client(client: OpenAI) -> Iterator[list[str]]:
    """Ask the same adapter for a token again and again; yields what became of each request."""
    outcomes: list[str] = []
    over = threading.Event()

    def ask_on() -> None:
        while not over.wait(PAUSE_S):
            try:
                client.chat.completions.create(
                    model=ADAPTER, messages=[{"role": "user", "content": "Hi"}], max_tokens=1
                )
                outcomes.append("answered")
            except openai.APIError as error:
                outcomes.append(str(error.code))

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        yield outcomes
    finally:
        over.set()
        thread.join()


def test_the_same_request_is_refused_the_third_time(
    client: OpenAI, server: Server, admin: httpx.Client, deaths: Deaths
) -> None:
    """Whatever seed and temperature it comes with, and whoever was beside it. Its adapter answers
    others all along, but for the time of the restarts, and is not blamed.
    """
    restarts = metric(server.url, "lorabay_engine_restarts_total")
    with another_client(client) as outcomes:
        second = long_stream(client, ADAPTER, POISON, 1)
        next(iter(second))
        kill_engine(server)
        with pytest.raises(openai.APIError) as failure:
            list(second)
        assert failure.value.code == "engine_unavailable"
        answered = outcomes.count("answered")
        eventually(lambda: outcomes.count("answered") > answered, "answers again", BACK_S)

        with pytest.raises(openai.APIStatusError) as refusal:
            long_stream(client, ADAPTER, POISON, 3)
        assert (refusal.value.status_code, refusal.value.code) == (422, "request_refused")
        assert int(refusal.value.response.headers["retry-after"]) > 60

        answered_again = outcomes.count("answered")
        eventually(lambda: outcomes.count("answered") > answered_again + 3, "still answers")

    assert set(outcomes) == {"answered", "engine_unavailable"}
    assert metric(server.url, "lorabay_engine_restarts_total") == restarts + 1
    assert admin.get(f"/admin/adapters/{ADAPTER}").json()["state"] == "ready"
    happened = [event["what"] for event in admin.get("/admin/events?count=50").json()["events"]]
    assert "request refused" in happened
    assert "quarantined" not in happened
