"""Connections that ask nothing, read nothing or leave: they cost nobody else anything."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from openai import OpenAI

from tests.e2e.conftest import API_KEY
from tests.e2e.server import Server, metric

IDLE, SLOW = 1500, 200
LONG = {
    "model": "finance",
    "messages": [{"role": "user", "content": "Tell me everything about savings."}],
    "max_tokens": 200,
    "ignore_eos": True,
    "stream": True,
}


@pytest.fixture(autouse=True)
def enough_files() -> Iterator[None]:
    """The clients of this page need files of their own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((address.hostname, address.port))
    return client


def request(body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (API_KEY.encode(), len(content), content)
    )


def until(condition: Callable[[], bool]) -> bool:
    waiting = threading.Event()
    for _ in range(600):
        if condition():
            return True
        waiting.wait(0.2)
    return False


def test_others_are_answered_beside_idle_and_deaf_clients(server: Server, client: OpenAI) -> None:
    """1,500 idle connections and 200 that read nothing keep neither a probe nor a stream waiting,
    and the deaf ones give their adapters back.
    """
    with contextlib.ExitStack() as open_connections:
        for _ in range(IDLE):
            open_connections.enter_context(connect(server))
        for _ in range(SLOW):
            deaf = open_connections.enter_context(connect(server))
            deaf.sendall(request(LONG | {"max_tokens": 2}))

        assert httpx.get(f"{server.url}/health", timeout=30).status_code == 200
        stream = client.chat.completions.create(
            model="ecommerce",
            messages=[{"role": "user", "content": "Hello"}],
            max_tokens=5,
            stream=True,
        )
        assert list(stream)[-1].choices[0].finish_reason
        assert until(lambda: metric(server.url, "lorabay_requests_running") == 0)


def test_a_long_stream_that_nobody_reads_frees_its_adapter(server: Server) -> None:
    """Its lease ends with its generation, although the client has read nothing."""
    answered = metric(server.url, "lorabay_requests_total", code="200", adapter="finance")
    with connect(server) as deaf:
        deaf.sendall(request(LONG | {"logprobs": True, "top_logprobs": 5}))
        assert until(lambda: metric(server.url, "lorabay_requests_running") == 0)
        now = metric(server.url, "lorabay_requests_total", code="200", adapter="finance")
        assert now == answered + 1


def test_a_client_that_pipelines_and_leaves_stops_its_generation(server: Server) -> None:
    """The second request is never run, and the first one ends with the connection."""
    before = metric(server.url, "lorabay_requests_total", adapter="finance")
    with connect(server) as leaving:
        leaving.sendall(request(LONG | {"max_tokens": 1500}) * 2)
        assert until(lambda: metric(server.url, "lorabay_requests_running") == 1)
    assert until(lambda: metric(server.url, "lorabay_requests_running") == 0)
    assert metric(server.url, "lorabay_requests_total", adapter="finance") == before + 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_no_request_is_a_400(server: Server, data: bytes) -> None:
    """And the end of its connection."""
    with connect(server) as stranger:
        stranger.sendall(data)
        answer = b""
        while piece := stranger.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"invalid_request"' in answer
