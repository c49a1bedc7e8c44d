"""A tiny base, the checks against it, and a fresh store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.base_shapes import BaseShapes
from lorabay.catalog.store import Store
from lorabay.catalog.validation import Checks
from tests.catalog import making

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseShapes:
    return BaseShapes.read(making.make_base(tmp_path_factory.mktemp("base") / "tiny-llama"))


@pytest.fixture(scope="session")
def checks(base: BaseShapes) -> Checks:
    return Checks(base, max_rank=16)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "store") as store:
        yield store
