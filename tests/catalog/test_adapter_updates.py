"""What an adapter of any format does to the base is what PEFT's own merge does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.torch import load_file

from lorabay.catalog.adapter_updates import AdapterUpdates, read_updates
from lorabay.catalog.base_shapes import BaseShapes
from tests.catalog import peft_adapters
from tests.catalog.applied import applied

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


def read(made: peft_adapters.Made, base: Path) -> AdapterUpdates:
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, AdapterUpdates), found
    return found


def check_equal(found: AdapterUpdates, base: Path, merged: dict[str, object], tolerance: float = 2e-6) -> None:
    """Every tensor of the base, with its updates, is what PEFT's merge has."""
    weights = load_file(base / "model.safetensors")
    assert found.updates.keys() <= weights.keys() | {"lm_head.weight"}
    changed = 0
    for name, weight in weights.items():
        ours = applied(weight.numpy().astype(np.float64), found.updates.get(name, ()))
        np.testing.assert_allclose(ours, merged[name].numpy(), rtol=1e-5, atol=tolerance, err_msg=name)
        changed += not np.array_equal(ours, weight.numpy())
    assert changed


@pytest.mark.parametrize("name", peft_adapters.CONFIGS)
def test_updates_are_those_of_pefts_merge(name: str, base: Path, tmp_path: Path) -> None:
    """Each format, made by PEFT and read from disk, changes every weight as PEFT's merge does."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    check_equal(read(made, base), base, made.merged())
