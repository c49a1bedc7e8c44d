"""The base of adapters, and virtual time for whatever asks no database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from lorabay.base.shapes import BaseShapes
from tests import making
from tests.versions import BASE_NAMES
from tests.virtual_time import VirtualTimeLoop

VIRTUAL_TIME = frozenset({"test_shared_operations.py"})


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Time is real for databases."""
    if item.path.name in VIRTUAL_TIME:
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.SelectorEventLoop}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> BaseShapes:
    folder = making.make_base(tmp_path_factory.mktemp("base") / "tiny")
    return BaseShapes.read(folder, names=BASE_NAMES)
