"""What every test may use, and what none may do: reach another machine."""

from __future__ import annotations

import ipaddress
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.records import Records
from lorabay.catalog.registry.registry import Registry
from lorabay.settings import ENV_PREFIX
from tests import examples
from tests.faulty_disk import FaultyDisk
from tests.versions import BASE_NAMES

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

pytest_plugins = [
    "tests.fixtures.small_base",
    "tests.fixtures.models",
    "tests.fixtures.databases",
    "tests.fixtures.redis",
    "tests.fixtures.otlp",
    "tests.fixtures.issuer",
    "tests.fixtures.chromium",
    "tests.fixtures.kubernetes",
    "tests.fixtures.prometheus",
    "tests.fixtures.buckets",
    "tests.fixtures.registries",
    "tests.fixtures.hubs",
    "tests.fixtures.hosts",
]

examples.register_profiles()

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """Refuse every connection that leaves this machine, for the rest of the process."""
    sys.addaudithook(_stay_at_home)
    # A shell that runs the tests in the background makes them, and their children, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stay_at_home(event: str, arguments: tuple[object, ...]) -> None:
    if event != "socket.connect":
        return
    match arguments:
        case (_, (str() as host, int(), *_)) if host != "localhost" and not _loopback(host):
            raise RuntimeError(f"a test tried to reach {host}")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Knows the base by two names, and nothing else."""
    return Registry(BASE_NAMES, Records(tmp_path / "records"))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    """The disk of this test, which may get faults."""
    disk = FaultyDisk(monkeypatch)
    yield disk
    disk.mend()


@pytest.fixture
def no_settings_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the shell that runs the tests had set no `LORABAY_*` variable."""
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def figures(request: pytest.FixtureRequest) -> list[str]:
    """Lines of measured figures, printed when all tests have run, also those of tests that
    failed.
    """
    return request.config.stash.setdefault(FIGURES, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of a process that runs a part of the tests to the one that reports."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["figures"] = session.config.stash.get(FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take over the figures of a process that has run its part."""
    lines = getattr(node, "workeroutput", {}).get("figures", [])
    node.config.stash.setdefault(FIGURES, []).extend(lines)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if lines := config.stash.get(FIGURES, []):
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single tests, here because pytest asks only the topmost file for them."""
    parser.addoption(
        "--lm-eval",
        help="also lm-eval in tests/e2e/test_evaluate.py, by this interpreter, which has "
        "lm-eval[api] and transformers",
    )
    parser.addoption("--gpu", action="store_true", help="the tests in tests/gpu, on a CUDA device")
    parser.addoption(
        "--swaps",
        type=int,
        default=6,
        help="swaps under load in tests/e2e/test_hot_swap.py and test_ray.py",
    )
    parser.addoption(
        "--documented-requests",
        type=int,
        default=1000,
        help="at least so many requests in tests/api/test_schemathesis.py",
    )
    parser.addoption(
        "--rollout-requests", type=int, default=400, help="requests in tests/e2e/test_rollout.py"
    )
    parser.addoption(
        "--source-changes", type=int, default=4, help="changes in tests/e2e/test_sources.py"
    )
    parser.addoption(
        "--whole-base", action="store_true", help="the default base in tests of formats"
    )
    parser.addoption(
        "--screenshots", help="folder for pictures of every page in tests/console/test_everybody.py"
    )
    parser.addoption("--format-steps", type=int, default=3, help="training steps of a format")
    parser.addoption(
        "--merge-kills", type=int, default=3, help="killed merges in tests/merge/test_kills.py"
    )
    parser.addoption(
        "--training-kills",
        type=int,
        default=3,
        help="kills of one training in tests/training/loop/test_fit.py",
    )
    parser.addoption(
        "--merged",
        action="store_true",
        help="also tests/e2e/test_merged.py, which starts three engines",
    )
    parser.addoption(
        "--engine-kills",
        type=int,
        default=1,
        help="kills in a row in tests/e2e/test_engine_death.py",
    )
    parser.addoption(
        "--cold-adapters", action="store_true", help="also tests/e2e/test_cold_adapters.py"
    )
    parser.addoption(
        "--console-idle",
        action="store_true",
        help="also tests/e2e/test_console_idle.py, which measures for three minutes",
    )
    parser.addoption(
        "--fairness",
        action="store_true",
        help="also tests/e2e/test_fairness.py, which starts two engines",
    )
    parser.addoption(
        "--fairness-slices",
        action="append",
        type=int,
        help="tokens of prompts in a step there, in place of what suits the processor; may be "
        "given again, for two engines more",
    )
    parser.addoption(
        "--first-minute",
        action="store_true",
        help="also tests/e2e/test_first_minute.py, which compiles for minutes",
    )
    parser.addoption(
        "--engine-hangs", action="store_true", help="also tests/e2e/test_idle_hangs.py"
    )
    parser.addoption(
        "--whole-models",
        action="store_true",
        help="also tests/e2e/test_whole_models.py, which starts two engines in one server",
    )
    parser.addoption(
        "--pooling",
        action="store_true",
        help="also tests/e2e/test_pooling.py, which starts two engines",
    )
    parser.addoption(
        "--ray",
        action="store_true",
        help="also tests/e2e/test_ray.py and others of that name, each of which starts a Ray "
        "cluster",
    )
    parser.addoption(
        "--partition",
        action="store_true",
        help="also tests/e2e/test_ray_partition.py, as root: two hosts, and no cable between them",
    )
    parser.addoption(
        "--neighbours",
        type=int,
        default=0,
        help="also tests/e2e/test_neighbours.py, so many rounds of each kind",
    )
    parser.addoption(
        "--clients",
        action="append",
        help="also tests/e2e/test_clients.py, by this interpreter with requirements/clients.txt; "
        "once more for the one with requirements/instructor.txt",
    )
    parser.addoption(
        "--matrix",
        action="store_true",
        help="all of tests/matrix, and tests/e2e/test_architectures.py: an engine for each",
    )
    parser.addoption(
        "--strangers",
        action="store_true",
        help="also tests/e2e/test_strangers.py, which makes two dozen adapters",
    )
    parser.addoption(
        "--outage-s", type=float, default=4.0, help="outages in tests/e2e/test_store_disk.py"
    )
    parser.addoption(
        "--prompts",
        type=int,
        choices=(1, 2, 4, 8, 16),
        default=4,
        help="prompts of each model that tests/e2e/test_peft_equality.py asks alone",
    )
    parser.addoption(
        "--bucket-adapters",
        type=int,
        default=0,
        help="also tests/e2e/test_bucket_scale.py, with so many adapters in its bucket",
    )
    parser.addoption(
        "--mixed-usage",
        type=int,
        default=0,
        help="also tests/e2e/test_mixed_usage.py, with so many requests",
    )
    parser.addoption(
        "--server-kills", type=int, default=1, help="kills in tests/e2e/test_server_death.py"
    )
