"""What the real server counts."""

from __future__ import annotations

import httpx
from openai import OpenAI

from tests.e2e.server import Server, metric


def test_tokens_and_requests_are_counted_for_each_adapter(client: OpenAI, server: Server) -> None:
    """Counters move by exactly what the answers report; streams count like whole answers."""

    def counts(adapter: str) -> tuple[float, float, float]:
        return (
            metric(
                server.url, "lorabay_requests_total", adapter=adapter, endpoint="chat", code="200"
            ),
            metric(server.url, "lorabay_prompt_tokens_total", adapter=adapter),
            metric(server.url, "lorabay_generation_tokens_total", adapter=adapter),
        )

    before = counts("ecommerce")
    request = {
        "model": "ecommerce",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 5,
    }
    usage = client.chat.completions.create(**request).usage
    assert usage is not None
    streamed = list(
        client.chat.completions.create(
            **request, stream=True, stream_options={"include_usage": True}
        )
    )
    last = streamed[-1].usage
    assert last is not None
    after = counts("ecommerce")
    assert after[0] - before[0] == 2
    assert after[1] - before[1] == usage.prompt_tokens + last.prompt_tokens
    assert after[2] - before[2] == usage.completion_tokens + last.completion_tokens


def test_vllm_series_stand_beside_ours(server: Server) -> None:
    """Routers find vLLM's own names on the same page."""
    text = httpx.get(f"{server.url}/metrics").text
    assert "vllm:lora_requests_info" in text
    assert 'lorabay_adapter_info{adapter="finance"' in text
