"""A tiny base, and the settings of a server over it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from lorabay.settings import Settings, load_settings
from tests import making
from tests.virtual_time import VirtualTimeLoop

IN_VIRTUAL_TIME = ("test_http_protocol.py", "test_send_watch.py")
ON_THE_SERVERS_LOOP = ("test_tls_listener.py",)


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Time is virtual where no socket is; what loops do in their own way is tried on both."""
    if item.path.name in IN_VIRTUAL_TIME:
        return {"virtual": VirtualTimeLoop}
    if item.path.name in ON_THE_SERVERS_LOOP:
        return {"real": asyncio.SelectorEventLoop, "servers": uvloop.new_event_loop}
    return {"real": asyncio.SelectorEventLoop}


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Puts back what a server does with the process's signals."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return making.make_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture
def settings(tmp_path: Path, base: Path) -> Settings:
    making.make_adapter(tmp_path / "adapters" / "finance")
    flags = {
        "base": str(base),
        "adapters": tmp_path / "adapters",
        "store": tmp_path / "store",
        "settle_s": 0,
    }
    return load_settings(flags, environ={})
