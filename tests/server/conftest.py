"""A tiny base, and the settings of a server over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.settings import Settings, load_settings
from tests import making


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
