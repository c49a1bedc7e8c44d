"""The change of each module, against the products themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.versions import Version
from lorabay.serving import changes as changes_module
from lorabay.serving.changes import Changes
from tests import making
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    base = making.make_base(tmp_path / "base")
    files = BaseFiles.open(base)
    return Changes(BaseShapes.of(files, names=("base",)), BaseWeights.of(files))


@pytest.fixture
async def bay(tmp_path: Path, shapes: BaseShapes) -> AsyncIterator[Bay]:
    bay = Bay(tmp_path, shapes)
    manager = bay.manager(MortalEngine())
    await manager.start()
    yield bay
    await manager.stop()
    bay.store.close()


async def served(bay: Bay, weights: int, *, rank: int = 4) -> Version:
    bay.put("ads", weights, rank=rank)
    await bay.look()
    version = bay.live("ads")
    assert version is not None
    return version


def delta(weights: int, module: str, *, rank: int = 4) -> NDArray[np.float64]:
    """Return what an adapter of `Bay.make` does to a module: its alpha is 8."""
    tensors = making.lora_tensors(seed=weights, rank=rank)
    a = making.values(tensors[f"{making.PREFIX}{module}.lora_A.weight"]).astype(np.float64)
    b = making.values(tensors[f"{making.PREFIX}{module}.lora_B.weight"]).astype(np.float64)
    product: NDArray[np.float64] = b @ a * (8 / rank)
    return product


async def test_each_module_has_the_norm_of_its_product(bay: Bay, changes: Changes) -> None:
    """By layer and module; nothing is said of modules that stay as they are."""
    version = await served(bay, 1)
    told = await changes.measured(version)
    assert (told["version"], told["other"], told["scales_outputs"]) == (version.id, None, False)
    assert len(told["modules"]) == 2 * making.LAYERS
    for one in told["modules"]:
        name = f"model.layers.{one['layer']}.{one['module']}"
        assert one["norm"] == pytest.approx(np.linalg.norm(delta(1, name)))
        assert one["distance"] is None


async def test_two_versions_are_as_far_apart_as_their_products(bay: Bay, changes: Changes) -> None:
    """Also if their ranks differ; a version is not apart from itself."""
    former = await served(bay, 1)
    version = await served(bay, 2, rank=8)
    told = await changes.measured(version, former)
    for one in told["modules"]:
        name = f"model.layers.{one['layer']}.{one['module']}"
        apart = delta(2, name, rank=8) - delta(1, name)
        assert one["distance"] == pytest.approx(np.linalg.norm(apart))

    same = await changes.measured(version, version)
    assert all(one["distance"] == pytest.approx(0, abs=1e-6) for one in same["modules"])


async def test_what_was_measured_is_remembered(
    bay: Bay, changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version never changes, so its files are read once; only the newest answers are kept."""
    former = await served(bay, 1)
    version = await served(bay, 2)
    reads: list[Path] = []
    read_updates = changes_module.read_updates

    def counted(folder: Path, *arguments: object, **options: object) -> object:
        reads.append(folder)
        return read_updates(folder, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(changes_module, "read_updates", counted)
    monkeypatch.setattr(changes_module, "REMEMBERED", 1)
    first = await changes.measured(version)
    assert await changes.measured(version) == first
    assert len(reads) == 1
    await changes.measured(former)
    await changes.measured(version)
    assert len(reads) == 3
