"""A client that goes away stops costing anything."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.e2e.conftest import API_KEY
from tests.e2e.server import Server, metric

LONG = {
    "model": "finance",
    "messages": [{"role": "user", "content": "Tell me everything about savings."}],
    "max_tokens": 1500,
    "ignore_eos": True,
}


def running(server: Server) -> float:
    return metric(server.url, "vllm:num_requests_running") + metric(
        server.url, "vllm:num_requests_waiting"
    )


@pytest.mark.parametrize("stream", [True, False])
def test_the_generation_is_aborted(server: Server, stream: bool) -> None:
    """Closing the connection ends the request in the engine long before its 1500 tokens."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(
        base_url=server.url, headers=headers, timeout=httpx.Timeout(60, read=3)
    ) as leaving:
        if stream:
            with leaving.stream(
                "POST", "/v1/chat/completions", json=LONG | {"stream": True}
            ) as response:
                next(response.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                leaving.post("/v1/chat/completions", json=LONG)
    deadline = threading.Event()
    for _ in range(100):
        if running(server) == 0 and metric(server.url, "lorabay_requests_running") == 0:
            break
        deadline.wait(0.1)
    assert running(server) == 0
    assert metric(server.url, "lorabay_requests_total", code="499", adapter="finance") >= 1
