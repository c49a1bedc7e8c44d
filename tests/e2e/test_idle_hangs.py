"""An engine that is stopped while nothing runs.

Runs with `--engine-hangs` alone: each process costs a new engine.
"""

from __future__ import annotations

import pytest
from openai import OpenAI

from tests.e2e.server import Server
from tests.e2e.test_engine_death import worker_of
from tests.e2e.test_hanging_engine import check_rebuilt


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("which", ["the engine", "its worker"])
def test_a_process_that_is_stopped_while_nothing_runs(
    client: OpenAI, server: Server, which: str
) -> None:
    """It is noticed although nobody asks for anything."""
    worker = worker_of(server)
    stopped = worker if which == "its worker" else worker.parent()
    assert stopped is not None
    assert stopped.pid != server.process.pid
    check_rebuilt(server, client.api_key, stopped.pid)
