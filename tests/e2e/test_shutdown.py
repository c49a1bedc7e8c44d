"""The end of the shared server; runs last."""

from __future__ import annotations

import httpx
import pytest
from openai import OpenAI

from tests.e2e.conftest import API_KEY
from tests.e2e.server import PATIENCE_S, Server


def test_sigterm_lets_running_requests_finish(server: Server) -> None:
    """After SIGTERM a running stream still gets its last token, new connections are refused, the
    exit code is 0.
    """
    url = server.url
    # The shared client knows the server as it was before it was killed.
    with OpenAI(base_url=f"{url}/v1", api_key=API_KEY, timeout=PATIENCE_S, max_retries=0) as client:
        stream = client.chat.completions.create(
            model="tech-support",
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=60,
            stream=True,
            extra_body={"ignore_eos": True},
        )
        chunks = [next(stream)]
        server.process.terminate()
        chunks += list(stream)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert server.process.wait(PATIENCE_S) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health", timeout=PATIENCE_S)
