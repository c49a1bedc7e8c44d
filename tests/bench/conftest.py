"""A real local HTTP server for the load generator and for scenarios that start servers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.synthetic_adapters import Publisher, RandomAdapters
from tests.making import make_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAKE_SERVER = Path(__file__).parent / "fake_server.py"


@dataclass(frozen=True)
class Fake:
    """The fake server's address; `seen` returns what it was asked since the last call."""

    url: str

    def seen(self) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self.url}/seen", trust_env=False).json()
        return answer


@pytest.fixture(scope="session")
def fake_process() -> Iterator[Fake]:
    """One server for all tests that only talk to one."""
    command = [sys.executable, str(FAKE_SERVER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Fake(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.terminate()


@pytest.fixture
def fake(fake_process: Fake) -> Fake:
    """The server of the session, without the requests of other tests."""
    fake_process.seen()
    return fake_process


@pytest.fixture
def launch_fake() -> Callable[..., Callable[[int], list[str]]]:
    """A launch of the fake server with the given adapters, for scenarios that start servers."""

    def launch(*adapters: str) -> Callable[[int], list[str]]:
        return lambda port: [
            sys.executable,
            str(FAKE_SERVER),
            "--port",
            str(port),
            "--adapters",
            *adapters,
        ]

    return launch


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a base that adapters can be checked against."""
    return make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def publisher(tmp_path: Path, tiny_base: Path) -> Publisher:
    """Versions of a small adapter."""
    base = BaseShapes.read(tiny_base)
    return Publisher(tmp_path, RandomAdapters.about(base, 4, 1_000), base)


@pytest.fixture
def launch_following(tiny_base: Path) -> Callable[[Path], Callable[[int], list[str]]]:
    """A launch of the fake server over an adapter directory."""

    def launch(adapters: Path) -> Callable[[int], list[str]]:
        flags = ["--follow", str(adapters), "--base", str(tiny_base)]
        return lambda port: [sys.executable, str(FAKE_SERVER), "--port", str(port), *flags]

    return launch
