"""Other people's packages against the running server: chat, stream, tools, structured answers.

Runs with `--clients PYTHON` alone, an interpreter that has requirements/clients.txt: they need
other versions of libraries than vLLM.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import API_KEY
from tests.e2e.server import Server

FOLDER = Path(__file__).parent / "clients"
CITIES = {"Paris", "Rome"}


@pytest.mark.parametrize("client", sorted(path.stem for path in FOLDER.glob("*_client.py")))
def test_a_package_works(server: Server, pytestconfig: pytest.Config, client: str) -> None:
    """What it offers of chat, stream, tool calls and structured answers comes back in its own
    types, from an adapter.
    """
    result = run(pytestconfig.getoption("--clients"), client, server.url)

    assert result.get("chat", "text")
    assert result["stream"]
    assert result["structured"]["city"]
    if "tool" in result:
        _, arguments = result["tool"]
        assert arguments["city"] in CITIES


def run(python: str, client: str, url: str) -> dict[str, Any]:
    """Run a client's program to its end and return what it printed."""
    program = [python, str(FOLDER / f"{client}.py"), url, API_KEY, "finance"]
    home = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]}
    done = subprocess.run(
        program, env=home, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
