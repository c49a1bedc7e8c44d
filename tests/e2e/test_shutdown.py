"""The end of the shared server; runs last."""

from __future__ import annotations

import httpx
import pytest
from openai import OpenAI

from tests.e2e.server import Server


def test_sigterm_lets_running_requests_finish(client: OpenAI, server: Server) -> None:
    """After SIGTERM a running stream still gets its last token, new connections are refused, the
    exit code is 0.
    """
    stream = client.chat.completions.create(
        model="tech-support",
        messages=[{"role": "user", "content": "Hello"}],
        max_tokens=60,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    chunks = [next(stream)]
    url = server.url
    server.process.terminate()
    chunks += list(stream)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert server.process.wait(60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
