"""Other people's packages against a running server: what each can be asked for, by its own names.

Runs with `--clients PYTHON` alone, given once for each interpreter that has some of the packages:
they need other versions of libraries than vLLM, and not all the same. What came of each is printed
as a table at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients.parts import COLUMNS
from tests.e2e.conftest import API_KEY, CONTEXT
from tests.e2e.server import Server

FOLDER = Path(__file__).parent / "clients"
PACKAGES = sorted(path.stem.removesuffix("_client") for path in FOLDER.glob("*_client.py"))
MODULES = {"langchain": "langchain_openai", "openai_agents": "agents"}
"""What a package is imported as, where that is not what its program is called."""

ADAPTER = "finance"

PROGRAM_S = 900.0
"""A program may wait for a first start, which compiles the base."""

pytestmark = pytest.mark.timeout(PROGRAM_S)

Told = dict[str, Any]

OPTIONS: dict[str, tuple[str, ...]] = {
    "demanded": (),
    "free": (
        *("--engine", "tool_call_parser=hermes"),
        *("--engine", "tool_strict_level=parameter"),
    ),
}
"""How the server takes tools: those that a request demands, as the default base must have it, or
also those that the model may choose to call. vLLM then holds arguments to the schema where a tool
says `strict`; here everywhere, because the base writes nonsense."""


@pytest.fixture(scope="module", params=OPTIONS)
def tools(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def starting(
    tools: str, base_folder: Path, adapters: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that listens, and whose engine is not up yet."""
    folder = tmp_path_factory.mktemp("clients")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(adapters)),
        *("--store", str(folder / "store"), "--api-key", API_KEY),
        *("--engine", "dtype=float32", "--engine", f"max_model_len={CONTEXT}"),
        *OPTIONS[tools],
    ]
    with Server(arguments, log=folder / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def server(starting: Server) -> Server:
    """The same server, when it answers."""
    starting.wait_for("ready")
    return starting


@pytest.fixture(scope="module")
def programs(
    server: Server, tools: str, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Future[Told]]]:
    """The programs that were chosen, all at once: their streams share the engine's steps."""
    chosen = {
        package
        for item in request.session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        for package in [item.callspec.params.get("package")]
        if package in PACKAGES
    }
    with ThreadPoolExecutor(len(PACKAGES)) as pool:
        yield {
            package: pool.submit(
                run, interpreter(package, pytestconfig), f"{package}_client", server.url, tools
            )
            for package in sorted(chosen)
        }


def test_the_packages_wait_for_a_server_that_starts(
    starting: Server, tools: str, pytestconfig: pytest.Config
) -> None:
    """Their own retries, as long as the server asks for, end in an answer."""
    told = run(interpreter("openai", pytestconfig), "waiting", starting.url, tools)
    assert failures(told) == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_works(
    programs: Mapping[str, Future[Told]], tools: str, figures: list[str], package: str
) -> None:
    """Every part of its program gets what it asks for, from an adapter, in the package's types."""
    told = programs[package].result()
    figures.append(row(told, tools))
    assert failures(told) == {}


def test_no_package_met_a_bug(server: Server) -> None:
    """The server's log has none."""
    assert not server.has_logged("bug")


def interpreter(package: str, config: pytest.Config) -> str:
    """Return the first of the interpreters that were named which has a package."""
    module = MODULES.get(package, package)
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    for python in config.getoption("--clients"):
        if subprocess.run([python, "-c", look], check=False).returncode == 0:
            return str(python)
    raise AssertionError(f"no interpreter of --clients has {module}")


def run(python: str, program: str, url: str, tools: str) -> Told:
    """Run a program to its end and return what it told."""
    arguments = [python, str(FOLDER / f"{program}.py"), url, API_KEY, ADAPTER, tools]
    home = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]}
    done = subprocess.run(
        arguments, env=home, capture_output=True, text=True, timeout=PROGRAM_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: Told = json.loads(done.stdout.splitlines()[-1])
    return result


def failures(told: Told) -> dict[str, str]:
    """Return why each part failed that did, by its name."""
    return {part["name"]: part["failure"] for part in told["parts"] if part["failure"]}


def row(told: Told, tools: str) -> str:
    """Return a program's row of the table: how many of the parts of each column passed."""
    cells = [told["package"], told["version"], tools]
    for column in COLUMNS:
        parts = [part for part in told["parts"] if part["column"] == column]
        passed = sum(part["failure"] is None for part in parts)
        cells.append(f"{passed} of {len(parts)}" if parts else "-")

    seconds = sum(part["s"] for part in told["parts"])
    return f"| {' | '.join(cells)} | {seconds:.0f} s |"
