"""One real engine for the whole run, in float32 so that its tokens can be compared with PEFT's exactly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from lorabay.offline.base_model import cache_folder, prepare
from tests.e2e.server import Server

REPOSITORY = Path(__file__).parents[2]
ADAPTERS = ("finance", "ecommerce", "tech-support")
BASE = "SmolLM2-135M-Instruct"
MODELS = (BASE, *ADAPTERS)
API_KEY = "key-for-tests"
CONTEXT = 2048


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here, and run the one that ends the shared server last."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.engine)
    last = [item for item in here if item.path.name == "test_shutdown.py"]
    items[:] = [item for item in items if item not in last] + last


@pytest.fixture(scope="session")
def base_folder() -> Path:
    return prepare(cache_folder())


@pytest.fixture(scope="session")
def server(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(REPOSITORY / "adapters"), "--store", str(folder / "store")),
        *("--api-key", API_KEY, "--grace-s", "60"),
        *("--engine", "dtype=float32", "--engine", f"max_model_len={CONTEXT}"),
        *("--engine", "enable_auto_tool_choice=true", "--engine", "tool_call_parser=hermes"),
    ]
    with Server(arguments, log=folder / "server.log") as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key=API_KEY, timeout=120, max_retries=0) as openai:
        yield openai


@pytest.fixture(scope="session")
def http(server: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=120) as plain:
        yield plain
