"""A bay over a temporary folder, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.serving.residency import Residency
from tests import making, peft_adapters
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.versions import BASE_NAMES
from tests.virtual_time import VirtualTimeLoop

REAL_TIME = frozenset({"test_watcher.py", "test_scanner.py", "test_hanging_disks.py"})


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Time is virtual, but for what waits on the operating system."""
    return (
        {"real": asyncio.SelectorEventLoop}
        if item.path.name in REAL_TIME
        else {"virtual": VirtualTimeLoop}
    )


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> BaseShapes:
    folder = making.make_base(tmp_path_factory.mktemp("base") / "tiny")
    return BaseShapes.read(folder, names=BASE_NAMES)


@pytest.fixture
def bay(tmp_path: Path, shapes: BaseShapes) -> Iterator[Bay]:
    bay = Bay(tmp_path, shapes)
    yield bay
    bay.store.close()


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that PEFT can make adapters for."""
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def llama_bay(tmp_path: Path, llama: Path) -> Iterator[Bay]:
    """A bay over it, of an engine that can scale outputs."""
    bay = Bay(tmp_path, BaseShapes.read(llama))
    bay.checks = replace(bay.checks, base_weights=BaseWeights.open(llama))
    bay.restart()
    yield bay
    bay.store.close()


@pytest.fixture
def residency(bay: Bay, engine: MortalEngine) -> Residency:
    """The engine's, attached to the bay."""
    return bay.residency(engine)


@pytest.fixture(scope="session")
def ever_opened() -> deque[str]:
    """The paths that were opened last; a hook cannot be taken away again."""
    paths: deque[str] = deque(maxlen=1000)
    sys.addaudithook(
        lambda event, arguments: paths.append(str(arguments[0])) if event == "open" else None
    )
    return paths


@pytest.fixture
def opened(ever_opened: deque[str]) -> deque[str]:
    """The paths of the files that this test opens."""
    ever_opened.clear()
    return ever_opened


@pytest.fixture
def engine() -> MortalEngine:
    return MortalEngine(up=True)
