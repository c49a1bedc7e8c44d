"""Mixtures as the settings want them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lorabay.api.mixed import MixedModels, NoMixedModel
from lorabay.server.mixtures import mixed_model
from lorabay.settings import Settings

PARTS: Any = SimpleNamespace(ingest=None, registry=None, changes=SimpleNamespace(admins=None))


def test_they_are_off_unless_some_are_kept(tmp_path: Path) -> None:
    """Each costs a slot's worth of memory and a folder of the store."""
    assert isinstance(mixed_model(Settings(store=tmp_path), PARTS), NoMixedModel)
    some = Settings(store=tmp_path, max_mixtures=2)
    assert isinstance(mixed_model(some, PARTS), MixedModels)
