"""Servers that scenarios start."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from lorabay.bench.load_generator import Target
from lorabay.bench.readiness import list_models
from lorabay.bench.servers import free_port, launch_both, started
from lorabay.bench.settings import BenchSettings
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FAILING = "import sys; print('ValueError: no weights'); sys.exit(3)"


def test_a_started_server_answers_until_the_block_ends(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """Inside the block it lists its models; afterwards nothing listens there."""
    with started("ours", launch_fake("finance"), BenchSettings()) as server:
        assert server.listing.resolve(()) == ("tiny", "finance")
        assert list_models(server.target, timeout_s=10) == server.listing
        assert server.start_s > 0
    with pytest.raises(SetupError, match="no server answers"):
        list_models(Target(server.target.url), timeout_s=10)


def test_a_started_server_is_asked_with_the_key(
    launch_fake: Callable[..., Callable[[int], list[str]]],
) -> None:
    """One with accounts, named by its environment, answers nobody else."""
    settings = BenchSettings(api_key="k3y")
    with started("ours", launch_fake("finance"), settings) as server:
        assert server.target.headers["Authorization"] == "Bearer k3y"
        seen = httpx.get(f"{server.target.url}/seen", trust_env=False).json()
    assert {asked["authorization"] for asked in seen["requests"]} == {"Bearer k3y"}


def test_a_failed_start_says_why() -> None:
    """The end of the log survives the log's own folder."""
    with (
        pytest.raises(SetupError, match=r"(?s)vllm exited with code 3.*ValueError: no weights"),
        started("vllm", lambda port: [sys.executable, "-c", FAILING], BenchSettings()),
    ):
        pass


def test_the_environment_of_the_engine_is_set() -> None:
    """Defaults reach the child, and what the settings say wins over them."""
    script = "from os import environ as e; exit(e['VLLM_CPU_KVCACHE_SPACE'] + '/' + e['EXTRA'])"
    settings = BenchSettings(env={"VLLM_CPU_KVCACHE_SPACE": "4", "EXTRA": "x"})
    with (
        pytest.raises(SetupError, match="4/x"),
        started("ours", lambda port: [sys.executable, "-c", script], settings),
    ):
        pass


def test_a_free_port_can_be_bound() -> None:
    """The given port is ours to use."""
    with socket.create_server(("127.0.0.1", free_port())) as listening:
        assert listening.getsockname()[1] > 0


def test_both_sides_are_launched_on_their_port(tmp_path: Path) -> None:
    """vLLM's own server and ours, each with the port that it is given."""
    (tmp_path / "finance").mkdir()
    (tmp_path / "finance" / "adapter_config.json").write_text('{"r": 8}')
    launches = launch_both(BenchSettings(base="/base", adapters=tmp_path))
    assert list(launches) == ["vllm", "lorabay"]
    assert all("4321" in launch(4321) for launch in launches.values())
