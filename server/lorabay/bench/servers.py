"""Servers that a scenario starts: each on a free loopback port, waited for, timed, and stopped at
the end of the block.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from lorabay.bench.commands import HOST, LORABAY, VLLM, VLLM_SERVER, lorabay_command, vllm_command
from lorabay.bench.load_generator import Target
from lorabay.bench.processes import running
from lorabay.bench.readiness import wait_first_answer, wait_loaded
from lorabay.bench.settings import default_env

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.bench.processes import ServerProcess
    from lorabay.bench.readiness import Listing
    from lorabay.bench.settings import BenchSettings

Launch: TypeAlias = Callable[[int], list[str]]
"""The command line of a server, given its port."""


@dataclass(frozen=True, slots=True)
class ReadyServer:
    """A server that has answered its first completion, `start_s` seconds after its spawn."""

    name: str
    target: Target
    listing: Listing
    group: int
    """Process group of the server and all its children."""
    start_s: float


def launch_lorabay(settings: BenchSettings) -> Launch:
    """Return the launch of our server as the settings say."""
    return lambda port: lorabay_command(settings.base, settings.adapters, settings.engine, port)


def launch_both(settings: BenchSettings) -> dict[str, Launch]:
    """Return vLLM's own server and ours, on the same base, adapters and engine options.

    Raises UsageError or SetupError if the settings lack one of them.
    """
    base, adapters = settings.need_started()
    return {
        VLLM: lambda port: vllm_command(base, adapters, settings.engine, port),
        LORABAY: launch_lorabay(settings),
    }


@contextmanager
def started(name: str, launch: Launch, settings: BenchSettings) -> Iterator[ReadyServer]:
    """Start a server and wait until it is ready; it is stopped when the block ends."""
    with spawned(name, launch, settings) as (server, target):
        yield wait_ready(server, target, settings)


@contextmanager
def spawned(
    name: str, launch: Launch, settings: BenchSettings
) -> Iterator[tuple[ServerProcess, Target]]:
    """Start a server without waiting for it; it is stopped when the block ends."""
    port = free_port()
    # A server that asks for no key does not look at one.
    target = Target(f"http://{HOST}:{port}", settings.api_key)
    env = default_env() | dict(settings.env)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        log = Path(folder) / "server.log"
        with running(
            name, launch(port), env=env, log=log, stop_timeout_s=settings.stop_timeout_s
        ) as server:
            yield server, target


def wait_ready(server: ServerProcess, target: Target, settings: BenchSettings) -> ReadyServer:
    """Wait until the server has answered a completion and holds all that it serves."""
    wait_first_answer(server, target, settings.start_timeout_s)
    # The clock stops at the first answer: vLLM's own server has loaded all by then, ours goes on.
    start_s = time.perf_counter() - server.started
    listing = wait_loaded(server, target, settings.start_timeout_s)
    return ReadyServer(server.name, target, listing, server.group, start_s)


def warm_file_cache(base: str) -> None:
    """Read the files that every server reads at its start: vLLM's modules and the weights.

    Otherwise the first server would pay for the second one.
    """
    import_vllm = [sys.executable, "-c", f"import {VLLM_SERVER}"]
    subprocess.run(import_vllm, check=False, capture_output=True)

    for weights in Path(base).glob("*.safetensors"):
        with weights.open("rb") as file:
            while file.read(1 << 24):
                pass


def free_port() -> int:
    """Return a port that is free now on the loopback address."""
    with socket.socket() as probe:
        # Another program may take it before the server does; then the start fails, visibly.
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
