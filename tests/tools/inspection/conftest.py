"""A tiny random base, and adapters that PEFT made for it, opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.tools.find_adapter import ChosenAdapter
from lorabay.tools.inspection.opened import Opened, open_adapter
from tests import peft_adapters

Open = Callable[..., Opened]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def made(base: Path, tmp_path: Path) -> Callable[..., peft_adapters.Made]:
    """Make an adapter of a format of `peft_adapters`, or of a config, in a folder of this name."""

    def make(
        kind: str | Callable[[], object], name: str = "a", seed: int = 1
    ) -> peft_adapters.Made:
        config = peft_adapters.CONFIGS[kind] if isinstance(kind, str) else kind
        return peft_adapters.make(base, tmp_path / name, config, seed=seed)

    return make


@pytest.fixture
def opened(base: Path, made: Callable[..., peft_adapters.Made]) -> Open:
    """Make the same adapter, and open it beside its base."""
    return lambda *arguments, **named: open_adapter(
        ChosenAdapter.at(made(*arguments, **named).folder), base
    )
