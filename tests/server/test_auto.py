"""`model: auto` as the settings want it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.api.auto import NoAutoModel, RoutedModel
from lorabay.catalog.registry.registry import Registry
from lorabay.errors import SetupError
from lorabay.routing.choice import BASE_CLASS
from lorabay.routing.prompts import Prompt
from lorabay.routing.train import train_router
from lorabay.server.auto import auto_model, read_router
from tests.fake_weights import FakeWeights


def test_without_the_setting_there_is_none(tiny_base: Path, registry: Registry) -> None:
    """Nothing of the base is read, either."""
    assert read_router(None, tiny_base) is None
    auto = auto_model(None, registry, FakeWeights(), base_name="tiny")
    assert isinstance(auto, NoAutoModel)


def test_a_router_is_read_over_the_base(
    tiny_base: Path, registry: Registry, tmp_path: Path
) -> None:
    """And a folder that is none ends the start with its reason."""
    prompts = [Prompt("Where is my parcel?", "shop"), Prompt("Write a poem", BASE_CLASS)]
    train_router(prompts, tiny_base).write(tmp_path / "router")
    router = read_router(tmp_path / "router", tiny_base)
    assert router is not None
    auto = auto_model(router, registry, FakeWeights(), base_name="tiny")
    assert isinstance(auto, RoutedModel)
    with pytest.raises(SetupError, match="nowhere"):
        read_router(tmp_path / "nowhere", tiny_base)
