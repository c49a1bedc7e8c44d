"""A server killed at any moment of a swap comes back with a whole store and the right live set."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import shutil
import signal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.registry.registry import Registry
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.metrics import Metrics
from lorabay.reasons import Rejected
from lorabay.reconcile.events import EventLog
from lorabay.reconcile.reconciler import Directory, Reconciler
from lorabay.serving.residency import Hooks, Residency
from tests.fake_engine import FakeEngine
from tests.making import lora_config, make_adapter, make_base

KILLS = 30
PATIENCE_S = 120.0
LONGEST_LIFE_S = 0.15

CONTENTS = 4
"""Two sets of weights, each with and without defaults."""

# Each server is a process of its own that has imported all it needs already.
servers = multiprocessing.get_context("forkserver")
servers.set_forkserver_preload(["__main__", __name__])


def open_server(folder: Path) -> tuple[Reconciler, Registry, Store]:
    """Open the adapters' side of a server over `folder`, as `lorabay serve` does."""
    store = Store.open(folder / "store")
    base = BaseShapes.read(folder / "base")
    registry = Registry(("base-model",), store.records("bay"))
    registry.last_run.restore(store.get_all)
    directory = Directory(folder / "adapters", settle_s=0.0)
    events = EventLog(folder / "store" / "events.jsonl")
    checks = Checks(base, 16)
    return (
        Reconciler(directory, store, checks, registry, events, Metrics(CollectorRegistry())),
        registry,
        store,
    )


def put(folder: Path, number: int) -> None:
    """Publish one of some versions by rename, as a deployment does."""
    hidden = folder / "adapters" / f".new-{os.getpid()}"
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.copytree(folder / "versions" / str(number % CONTENTS), hidden)
    target = folder / "adapters" / "word"
    if target.exists():
        old = folder / "adapters" / f".old-{os.getpid()}-{number}"
        target.rename(old)
    hidden.rename(target)


def swap_for_ever(folder: Path, first: int, started: object) -> None:
    async def swap() -> None:
        reconciler, registry, _ = open_server(folder)
        await start(reconciler, registry)
        started.set()  # type: ignore[attr-defined]
        for number in range(first, first + 10_000):
            put(folder, number)
            await reconciler.reconcile()

    asyncio.run(swap())


async def start(reconciler: Reconciler, registry: Registry) -> None:
    """Read the folders, bring up an engine, and load what has changed since the last run."""
    await reconciler.read_directory()
    reconciler.swaps.engine_is_up(
        Residency(FakeEngine(), 4, Hooks(in_use=lambda weights: registry.leases_on(weights) > 0))
    )
    await reconciler.reconcile()


@pytest.mark.timeout(280)
def test_30_kills_at_random_moments(tmp_path: Path) -> None:
    """After each SIGKILL a new server serves exactly what the folder holds, from a version that is
    whole.
    """
    make_base(tmp_path / "base")
    for number in range(CONTENTS):
        folder = tmp_path / "versions" / str(number)
        make_adapter(folder, config=lora_config(lora_alpha=8 + 8 * (number % 2)))
        if number >= 2:  # other defaults of the same weights
            (folder / "lorabay.toml").write_text(f'description = "{number}"')
    (tmp_path / "adapters").mkdir()
    moments = random.Random(0)
    put(tmp_path, 0)
    for kill in range(KILLS):
        started = servers.Event()
        process = servers.Process(target=swap_for_ever, args=(tmp_path, kill, started))
        process.start()
        assert started.wait(PATIENCE_S)
        process.join(moments.uniform(0, LONGEST_LIFE_S))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        if not (tmp_path / "adapters" / "word").exists():
            put(tmp_path, kill)
        check_after_restart(tmp_path)


def check_after_restart(folder: Path) -> None:
    reconciler, registry, store = open_server(folder)
    asyncio.run(start(reconciler, registry))
    live = registry.live("word")
    checks = Checks(BaseShapes.read(folder / "base"), 16)
    held = validate(folder / "adapters" / "word", checks)
    assert isinstance(live, Version)
    assert not isinstance(held, Rejected)
    assert live.digest == held.digest
    for spec in store.versions():
        version = store.get(live.adapter, spec.digest)
        assert version is not None
        stored = validate(version.path, checks)
        assert not isinstance(stored, Rejected), stored
        assert stored.digest == spec.weights_digest
    store.close()
