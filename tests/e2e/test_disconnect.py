"""A client that goes away stops costing anything."""

from __future__ import annotations

import httpx
import pytest

from tests.e2e.conftest import API_KEY
from tests.e2e.server import PATIENCE_S, Server, page

LONG = {
    "model": "finance",
    "messages": [{"role": "user", "content": "Tell me everything about savings."}],
    "max_tokens": 1500,
    "ignore_eos": True,
}


RUNNING = (
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "lorabay_requests_running",
)
SOON_S = 3.0
"""Much less than 1500 tokens take."""


@pytest.mark.parametrize("stream", [True, False])
def test_the_generation_is_aborted(server: Server, stream: bool) -> None:
    """Closing the connection ends the request in the engine long before its 1500 tokens."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE_S) as leaving:
        if stream:
            with leaving.stream(
                "POST", "/v1/chat/completions", json=LONG | {"stream": True}
            ) as response:
                next(response.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                leaving.post("/v1/chat/completions", json=LONG, timeout=SOON_S)
    for _ in range(100):
        now = page(server.url)
        if not any(map(now.total, RUNNING)):
            break
    assert [name for name in RUNNING if now.total(name)] == []
    assert now.total("lorabay_requests_total", code="499", adapter="finance") >= 1
