"""Which engine and which gate answer with a version."""

from __future__ import annotations

import pytest

from lorabay.catalog.registry.registry import Registry
from lorabay.errors import EngineUnavailable
from tests.api.conftest import FINANCE, parts_over
from tests.fake_engine import FakeEngine
from tests.fake_models import FakeModels
from tests.versions import make_model

BANK = make_model("bank", "d")


@pytest.mark.parametrize("version", [None, FINANCE])
def test_the_base_and_adapters_share_an_engine(registry: Registry, version: object) -> None:
    """Whether the server serves whole models or not."""
    for models in (None, FakeModels(FakeEngine())):
        parts = parts_over(registry, models=models)
        assert parts.engine_of(version) is parts.engine  # type: ignore[arg-type]
        assert parts.turns_of(version) is parts.turns  # type: ignore[arg-type]
        assert parts.context_of(version) == 2048  # type: ignore[arg-type]


def test_a_whole_model_has_its_own(registry: Registry) -> None:
    """Before its engine is up it has places, and the base's context is the best guess."""
    models = FakeModels()
    parts = parts_over(registry, models=models)
    assert parts.turns_of(BANK) is models.turns
    assert parts.context_of(BANK) == 2048
    with pytest.raises(EngineUnavailable):
        parts.engine_of(BANK)

    models.engine = FakeEngine()
    models.engine.max_model_len = 512
    assert parts.engine_of(BANK) is models.engine
    assert parts.context_of(BANK) == 512


def test_each_kind_is_told_of_its_own_engine(registry: Registry) -> None:
    """A model's requests go on while the adapters' engine is down: a load tells of its own."""
    parts = parts_over(registry, engine=FakeEngine(up=False), models=FakeModels())
    parts.check(BANK)
    for version in (None, FINANCE):
        with pytest.raises(EngineUnavailable):
            parts.check(version)
