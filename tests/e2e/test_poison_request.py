"""A request that kills the engine hurts only its own sender."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import openai
import pytest
from openai import OpenAI

from tests.e2e.conftest import ADAPTERS
from tests.e2e.folders import eventually
from tests.e2e.server import Server, metric
from tests.e2e.test_engine_death import kill_engine

ADAPTER = ADAPTERS[0]
PAUSE_S = 0.2


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


def send_poison(client: OpenAI, server: Server, number: int) -> None:
    """Ask for a long answer, and kill the engine once that runs."""
    stream = client.chat.completions.create(
        model=ADAPTER,
        messages=[{"role": "user", "content": "This  one kills."}],
        max_tokens=1000,
        stream=True,
        seed=number,
        temperature=number / 10,
        extra_body={"ignore_eos": True},
    )
    next(iter(stream))
    kill_engine(server)
    with pytest.raises(openai.APIError) as failure:
        list(stream)
    assert failure.value.code == "engine_unavailable"


@pytest.mark.timeout(1200)
def test_the_same_request_is_refused_the_third_time(
    client: OpenAI, server: Server, admin: httpx.Client
) -> None:
    """Whatever seed and temperature it comes with. Its adapter answers others all along, but for
    the time of the restarts, and is not blamed.
    """
    restarts = metric(server.url, "lorabay_engine_restarts_total")
    with another_client(client) as outcomes:
        for number in range(2):
            send_poison(client, server, number)
            answered = outcomes.count("answered")
            eventually(
                lambda seen=answered: outcomes.count("answered") > seen, "answers again", 250
            )
        with pytest.raises(openai.APIStatusError) as refusal:
            send_poison(client, server, 3)
        assert (refusal.value.status_code, refusal.value.code) == (422, "request_refused")
        assert int(refusal.value.response.headers["retry-after"]) > 60

        answered = outcomes.count("answered")
        eventually(lambda: outcomes.count("answered") > answered + 3, "still answers", 60)

    assert set(outcomes) == {"answered", "engine_unavailable"}
    assert metric(server.url, "lorabay_engine_restarts_total") == restarts + 2
    assert admin.get(f"/admin/adapters/{ADAPTER}").json()["state"] == "ready"
    happened = [event["what"] for event in admin.get("/admin/events?count=50").json()["events"]]
    assert "request refused" in happened
    assert "quarantined" not in happened
