"""How many files a server may open, and how many connections that makes."""

from __future__ import annotations

import http.client
import resource
import socket
import subprocess
import sys

import pytest

from lorabay.errors import UsageError
from lorabay.server import open_files
from lorabay.server.open_files import DEFAULT_CONNECTIONS, connections_of, raise_limit

PATIENCE_S = 60.0


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands in for the process's soft and hard limit."""
    limits = [1024, 4096]

    def set_limits(kind: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > 1_000_000:
            raise ValueError("not allowed")
        limits[:] = wanted

    monkeypatch.setattr(open_files.resource, "getrlimit", lambda kind: tuple(limits))
    monkeypatch.setattr(open_files.resource, "setrlimit", set_limits)
    return limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 4096), 4096),
        ((1024, 1_000_000_000), 65_536),
        ((1024, resource.RLIM_INFINITY), 65_536),
        ((4096, 4096), 4096),
        ((100_000, 1_000_000), 100_000),
    ],
)
def test_the_limit_is_raised_as_far_as_it_helps(
    limits: list[int], before: tuple[int, int], after: int
) -> None:
    """Up to the hard limit, not into the millions, and never down."""
    limits[:] = before
    assert raise_limit() == after
    assert limits == [after, before[1]]


def test_a_host_that_forbids_it_is_lived_with(
    limits: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server then takes fewer connections."""
    monkeypatch.setattr(open_files, "ENOUGH_FILES", 2_000_000)
    limits[:] = [1024, 2_000_000]
    assert raise_limit() == 1024
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert raise_limit() == 2_000_000


def test_half_of_the_files_may_be_connections() -> None:
    """The others are left to the store and the engine."""
    assert connections_of(1024, None) == 512
    assert connections_of(65_536, None) == DEFAULT_CONNECTIONS
    assert connections_of(1024, 100) == 100
    assert connections_of(1, None) == 1


def test_more_connections_than_files_are_refused() -> None:
    """The message says how many files it takes."""
    with pytest.raises(UsageError, match="raise that limit to 1200"):
        connections_of(1024, 600)


SERVER = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from lorabay.server.http_protocol import Timeouts
from lorabay.server.http_server import HttpServer
from lorabay.server.listener import bind
from lorabay.server.open_files import connections_of, raise_limit
from starlette.responses import PlainTextResponse

listener = bind("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
server = HttpServer(
    PlainTextResponse("here"),
    timeouts=Timeouts(60, 60),
    max_connections=connections_of(raise_limit(), None),
    keep_alive_s=75,
    drain_s=0,
    grace_s=0,
)
asyncio.Runner(loop_factory=server.config.get_loop_factory()).run(server.serve([listener]))
"""


def test_a_process_of_few_files_answers_beside_many_idle_connections() -> None:
    """Connections that ask nothing neither fill the files nor keep others out."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        for _ in range(3):
            client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
            client.request("GET", "/")
            assert client.getresponse().read() == b"here"
            client.close()
        for connection in idle:
            connection.close()
        server.terminate()
