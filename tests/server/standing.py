"""A whole server over an engine without a model, in a process of its own.

    python -m tests.server.standing NAME=VALUE ...

takes settings by their names, and says `ready URL` once it serves; SIGTERM ends it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

PATIENCE_S = 120.0
API_KEY = "key-of-the-operator"
ADMIN_KEY = "key-of-the-owner"
PROMPT_TOKENS = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A server that is ready: its URL, and what its start took."""

    url: str
    pid: int
    start_s: float
    start_cpu_s: float
    memory_bytes: int
    """Memory that no other process shares."""


@contextmanager
def standing(settings: Mapping[str, object]) -> Iterator[Standing]:
    """Run a server while the block lasts."""
    given = [f"{name}={value}" for name, value in settings.items()]
    with running([sys.executable, "-m", "tests.server.standing", *given]) as server:
        yield server


@contextmanager
def running(command: list[str]) -> Iterator[Standing]:
    """Run a process that says `ready URL`, until the block ends."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            start_s = time.perf_counter() - began
            assert said.startswith("ready "), f"{command} ended"
            yield _at_its_start(process.pid, said.split()[1], start_s)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _at_its_start(pid: int, url: str, start_s: float) -> Standing:
    process = psutil.Process(pid)
    used = process.cpu_times()
    return Standing(url, pid, start_s, used.user + used.system, process.memory_full_info().uss)


def serve(given: Mapping[str, object]) -> None:
    """Serve until SIGTERM."""
    # Imported here: whoever only starts such a server needs none of it.
    from lorabay.api.auth import choose_admin_gate, choose_gate
    from lorabay.api.keyring import Keyring
    from lorabay.catalog.adapted import Adapted
    from lorabay.logs import configure_logging
    from lorabay.server.accounts import open_accounts
    from lorabay.server.listener import bind
    from lorabay.server.server import Server
    from lorabay.settings import load_settings
    from tests.fake_engine import FakeEngine

    configure_logging("json", "error")
    settings = load_settings(given, environ={})
    engine = FakeEngine()
    engine.prompt_tokens = PROMPT_TOKENS
    with open_accounts(settings) as accounts, bind("127.0.0.1", 0) as listener:
        known = None if accounts is None else accounts.keys
        server = Server(
            settings,
            choose_gate(Keyring(API_KEY), "127.0.0.1", known),
            choose_admin_gate(Keyring(ADMIN_KEY)),
            accounts=accounts,
            make_engine=lambda base, options: engine,
            engine_scales=lambda *arguments, **options: False,
            ask_engine=lambda *question: Adapted({}),
        )
        port = listener.getsockname()[1]
        server.when_ready = lambda: say(f"ready http://127.0.0.1:{port}")
        server.run(listener)


def say(line: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(dict(argument.split("=", 1) for argument in sys.argv[1:]))
