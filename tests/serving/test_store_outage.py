"""The store is away for a while: all is real but the engine, which reads the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.versions import Version
from lorabay.errors import EngineUnavailable, StorageUnavailable
from lorabay.files.adapter_folder import CONFIG_FILE
from lorabay.serving.admin import Operations
from tests.serving.bay import ADMIN, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

NAMES = ("ads", "bank", "law", "shop")


class ReadingEngine(MortalEngine):
    """An engine that reads a version from its path, as the real one does whenever it loads one."""

    async def load(self, version: Version) -> None:
        try:
            (version.path / CONFIG_FILE).read_bytes()
        except OSError as error:
            raise EngineUnavailable("the version cannot be read now", retry_after=1.0) from error
        await super().load(version)


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_outage_flips_nothing_and_ends_by_itself(
    tmp_path: Path, shapes: BaseShapes, restarted: bool
) -> None:
    """Adapters that are not in the engine are unavailable meanwhile, and none answers with another
    version; an administrator's calls are refused for now; afterwards all is as it was, also if the
    server is started during the outage's end.
    """
    bay, engine = Bay(tmp_path, shapes), ReadingEngine()
    manager = bay.manager(engine, capacity=2, preload=2)
    await manager.start()
    for weights, name in enumerate(NAMES, 1):
        await bay.serve(name, weights)
    former = bay.version("ads", 1)
    await bay.serve("ads", 9)
    await quiet()
    before = {name: bay.live(name) for name in NAMES}
    stored = bay.in_store()

    versions, away = bay.folder / "store" / "versions", bay.folder / "away"
    versions.rename(away)
    unavailable = 0
    for name in NAMES * 2:
        with bay.registry.acquire(name) as lease:
            assert lease.version == before[name]
            try:
                await manager.ensure(lease.version)
            except EngineUnavailable:
                unavailable += 1
    assert unavailable
    operations = Operations(manager, bay.reconciler)
    with pytest.raises(StorageUnavailable):
        await operations.delete(former.digest, ADMIN)
    bay.put("shop", 7)
    await bay.reconciler.reconcile()
    assert {name: bay.live(name) for name in NAMES} == before

    away.rename(versions)
    if restarted:
        await manager.stop()
        bay.restart()
        await bay.reconciler.read_directory()
        manager = bay.manager(ReadingEngine(), capacity=2, preload=2)
        await manager.start()
    await bay.look()
    await bay.look()
    assert {name: bay.live(name) for name in NAMES} == before | {"shop": bay.version("shop", 7)}
    assert {bay.state(name) for name in NAMES} == {"ready"}
    assert former in bay.status("ads").kept
    for name in NAMES:
        with bay.registry.acquire(name) as lease:
            assert lease.version is not None
            await manager.ensure(lease.version)
    assert bay.in_store() == stored | {bay.version("shop", 7).digest}
    await manager.stop()
    bay.store.close()
