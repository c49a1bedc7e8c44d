"""The list of a server's models, and the wait for one that is not there, not ready, or dead."""

from __future__ import annotations

import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from lorabay.bench.load_generator import Target
from lorabay.bench.processes import running
from lorabay.bench.readiness import Listing, list_models, read_metrics, wait_first_answer
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.bench.conftest import Fake

LISTING = Listing("SmolLM2", ("ecommerce", "finance"))
SLEEP = [sys.executable, "-c", "import time; print('still loading', flush=True); time.sleep(600)"]


@pytest.fixture
def nowhere() -> Iterator[Target]:
    """An address that refuses connections."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield Target(f"http://127.0.0.1:{unused.getsockname()[1]}")


def test_no_names_mean_everything_that_is_served() -> None:
    """The base comes first, then the adapters."""
    assert LISTING.resolve(()) == ("SmolLM2", "ecommerce", "finance")


def test_base_is_a_name_for_the_base() -> None:
    """`base` stands for the base whatever it is called; other names are kept in their order."""
    assert LISTING.resolve(("finance", "base", "SmolLM2")) == ("finance", "SmolLM2", "SmolLM2")


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A typing error costs one clear line before any run."""
    with pytest.raises(
        SetupError, match=r"does not serve finanse; it serves SmolLM2, ecommerce, finance"
    ):
        LISTING.resolve(("base", "finanse"))


def test_a_running_server_is_listed(fake: Fake) -> None:
    """The card without a parent is the base, the others are adapters, sorted."""
    listing = list_models(Target(fake.url), timeout_s=10)
    assert listing.base == "tiny"
    assert listing.adapters[:3] == ("cut", "ecommerce", "erring")


def test_whom_to_trust_is_read_once(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes 30 ms of a processor that the server, which is measured, needs itself."""
    read: list[None] = []
    original = httpx.create_ssl_context

    def create(*arguments: Any, **options: Any) -> ssl.SSLContext:
        # A context that is handed over is used as it is.
        if not isinstance(options.get("verify"), ssl.SSLContext):
            read.append(None)
        return original(*arguments, **options)

    for place in (httpx, httpx._config, httpx._transports.default):
        monkeypatch.setattr(place, "create_ssl_context", create)
    for _ in range(3):
        list_models(Target(fake.url), timeout_s=10)
    assert len(read) <= 1


def test_no_server_is_one_clear_line(nowhere: Target) -> None:
    """A wrong URL names itself."""
    with pytest.raises(SetupError, match=f"no server answers at {nowhere.url}/v1/models"):
        list_models(nowhere, timeout_s=10)


def test_another_kind_of_server_is_refused(fake: Fake) -> None:
    """An address without a model list is one clear line with the status, not a traceback."""
    with pytest.raises(SetupError, match="answered 404"):
        list_models(Target(f"{fake.url}/elsewhere"), timeout_s=10)
    with pytest.raises(SetupError, match="is not an OpenAI model list"):
        list_models(Target(f"{fake.url}/seen?"), timeout_s=10)


def test_metrics_of_a_server_that_is_not_there_are_one_clear_line(nowhere: Target) -> None:
    """A server that died while it was observed names the address."""
    with pytest.raises(SetupError, match=f"no server answers at {nowhere.url}/metrics"):
        read_metrics(nowhere, timeout_s=10)


def test_a_server_that_dies_ends_the_wait(tmp_path: Path, nowhere: Target) -> None:
    """The death of the child ends the wait before its bound, with the child's last words."""
    command = [sys.executable, "-c", "raise SystemExit('port in use')"]
    with (
        running("lorabay", command, env={}, log=tmp_path / "log", stop_timeout_s=1) as server,
        pytest.raises(SetupError, match=r"(?s)lorabay exited with code 1.*port in use"),
    ):
        wait_first_answer(server, nowhere, timeout_s=600)


def test_a_server_that_never_answers_meets_the_bound(tmp_path: Path, nowhere: Target) -> None:
    """A living child that does not answer is given up with the end of its log."""
    log = tmp_path / "log"
    with running("vllm", SLEEP, env={}, log=log, stop_timeout_s=1) as server:
        with pytest.raises(SetupError, match="vllm did not answer in time; the end of its log:"):
            wait_first_answer(server, nowhere, timeout_s=0.3)
        assert server.process.poll() is None
