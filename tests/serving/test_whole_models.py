"""Whole models in the adapter directory: names like any other, each with an engine of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lorabay.catalog.versions import Version
from lorabay.catalog.whole_model import ModelChecks
from lorabay.errors import EngineUnavailable, NoRoomForModel
from lorabay.serving.manager import AdapterManager
from lorabay.serving.models.model_engines import ModelPlan
from lorabay.serving.turns.turn_gate import Bounds, TurnGate
from tests import making
from tests.catalog.composites import make_composite
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.virtual_time import quiet

CHECKS = ModelChecks(frozenset({"LlamaForCausalLM"}))


class Host:
    """A server over a bay; `engines` are the models' by version, `shared` is the adapters'."""

    def __init__(self, bay: Bay) -> None:
        self.bay = bay
        self.short: str | None = None
        self.slow = False
        self.engines: dict[str, MortalEngine] = {}
        self.shared: MortalEngine
        self.manager: AdapterManager

    async def start(self, *, limit: int = 1) -> None:
        """Start a process over what is on disk."""
        self.bay.checks = replace(self.bay.checks, models=CHECKS if limit else None)
        self.bay.restart()
        self.shared = MortalEngine()
        clock = asyncio.get_running_loop().time
        plan = ModelPlan(self._make, limit, lambda version, others: self.short, _gate)
        self.manager = self.bay.manager(self.shared, models=plan, clock=clock)
        await self.bay.reconciler.read_directory()
        await self.manager.start()
        await quiet()

    def _make(self, version: Version) -> MortalEngine:
        engine = MortalEngine()
        if self.slow:
            engine.hold("start")
        self.engines[version.id] = engine
        return engine

    def put(self, name: str, seed: int) -> None:
        """Rename a whole model into place."""
        fresh = making.make_model(self.bay.folder / f"{name}-{seed}", seed)
        self.bay.take_away(name)
        fresh.rename(self.bay.root / name)

    async def serve(self, name: str, seed: int) -> Version:
        self.put(name, seed)
        await self.bay.look()
        await quiet()
        version = self.bay.live(name)
        assert version is not None, self.bay.status(name).reasons
        return version

    async def ask(self, name: str) -> Version:
        """Get ready for a request, as the exchange does; return the version that would answer."""
        with self.bay.registry.acquire(name) as lease:
            assert lease.version is not None
            await self.manager.ensure(lease.version)
            if lease.version.is_model:
                self.manager.models.engine_of(lease.version).check()
            return lease.version

    @property
    def up(self) -> set[str]:
        """The models whose engine runs."""
        return {version for version, engine in self.engines.items() if engine.up}


def _gate(computes: object) -> TurnGate:
    return TurnGate(1, Bounds(10.0), drain_after_s=1.0)


@pytest.fixture
async def host(bay: Bay) -> AsyncIterator[Host]:
    host = Host(bay)
    await host.start()
    yield host
    await host.manager.stop()
    assert host.up == set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_model_is_served_beside_adapters(host: Host) -> None:
    """Its name flips when its engine is up; the adapters' engine never hears of it."""
    await host.bay.serve("finance", 1)
    model = await host.serve("bank", 1)
    assert model.is_model
    assert host.up == {model.id}
    assert (await host.ask("bank"), (await host.ask("finance")).adapter) == (model, "finance")
    assert {version.adapter for version in host.shared.loaded} == {"finance"}
    facts = {fact.adapter: fact for fact in host.manager.facts()}
    assert (facts["bank"].format, facts["bank"].level) == ("model", "engine")


async def test_without_the_setting_a_model_is_refused_with_its_name(host: Host) -> None:
    """Also one that an earlier run served; adapters are served on."""
    await host.bay.serve("finance", 1)
    await host.serve("bank", 1)
    await host.manager.stop()
    await host.start(limit=0)
    assert host.up == set()
    (reason,) = host.bay.status("bank").reasons
    assert (host.bay.state("bank"), reason.code) == ("rejected", "models_off")
    assert "--max-models 1" in reason.text
    assert (await host.ask("finance")).adapter == "finance"


async def test_a_new_version_comes_up_before_the_name_flips(host: Host) -> None:
    """Requests that run keep the old one; it ends after the last of them."""
    old = await host.serve("bank", 1)
    with host.bay.registry.acquire("bank") as lease:
        new = await host.serve("bank", 2)
        assert (lease.version, host.up) == (old, {old.id, new.id})
    await quiet()
    assert host.up == {new.id}
    assert host.bay.happened(adapter="bank") == ["added", "swapped"]


async def test_a_rollback_brings_the_former_engine_back(host: Host) -> None:
    """From the store: its folder is gone."""
    old = await host.serve("bank", 1)
    new = await host.serve("bank", 2)
    await host.bay.changes.roll_back("bank", None, who=ADMIN)
    await quiet()
    assert host.bay.live("bank") == old
    assert host.up == {old.id}
    assert new in host.bay.status("bank").kept


async def test_too_little_memory_is_a_reason_and_is_tried_again(host: Host) -> None:
    """The old version answers on; when there is memory, nobody has to do anything."""
    old = await host.serve("bank", 1)
    host.short = "needs 300 MiB more"
    host.put("bank", 2)
    await host.bay.look()
    (reason,) = host.bay.status("bank").reasons
    assert (host.bay.state("bank"), reason.code) == ("pending", "no_room_for_model")
    assert "300 MiB more" in reason.text
    assert await host.ask("bank") == old

    host.short = None
    await asyncio.sleep(2 * POLL_S)
    assert host.bay.state("bank") == "ready"
    assert await host.ask("bank") != old


async def test_one_model_too_many_is_refused(host: Host) -> None:
    """It takes no place from the one that is served."""
    bank = await host.serve("bank", 1)
    host.put("shop", 2)
    await host.bay.look()
    assert host.bay.state("shop") == "pending"
    assert "--max-models" in host.bay.status("shop").reasons[0].text
    assert host.bay.live("shop") is None
    assert host.up == {bank.id}

    host.bay.take_away("bank")
    await asyncio.sleep(3 * POLL_S)
    assert host.bay.live("shop") is not None


async def test_deaths_are_each_engines_own(host: Host) -> None:
    """An adapter's requests go on while a model's engine is rebuilt, and the reverse."""
    await host.bay.serve("finance", 1)
    model = await host.serve("bank", 1)
    engine = host.engines[model.id]
    restarts = {"adapter": "bank"}
    count = host.bay.metrics.registry.get_sample_value
    # An alert cannot see an increase from nothing to one.
    assert count("lorabay_model_restarts_total", restarts) == 0
    engine.die()
    engine.hold("start")
    await quiet()
    with pytest.raises(EngineUnavailable):
        await host.ask("bank")
    await host.ask("finance")
    assert host.shared.ended.count("start") == 1
    engine.release("start")
    await quiet()
    assert await host.ask("bank") == model
    assert host.bay.happened(adapter="bank") == ["added", "model engine died"]
    assert count("lorabay_model_restarts_total", restarts) == 1
    assert not count("lorabay_engine_restarts_total", {"reason": "died"})

    host.manager.ended(model)
    host.shared.die()
    host.shared.hold("start")
    await quiet()
    assert await host.ask("bank") == model
    host.shared.release("start")
    await asyncio.sleep(100)
    await host.ask("finance")
    assert engine.ended.count("start") == 2
    assert not [step for step in host.shared.steps if "bank" in step]


async def test_a_start_does_not_wait_for_models(host: Host) -> None:
    """Adapters answer at once; the model's engine comes up beside them."""
    await host.bay.serve("finance", 1)
    model = await host.serve("bank", 1)
    await host.manager.stop()
    host.slow = True
    await host.start()
    assert host.manager.declared_set_loaded
    assert (await host.ask("finance")).adapter == "finance"
    with pytest.raises(EngineUnavailable):
        await host.ask("bank")
    host.engines[model.id].release("start")
    assert await host.ask("bank") == model


async def test_a_model_that_no_longer_fits_is_shown_as_failed(host: Host) -> None:
    """A request for it hears why; with memory it is served, and shown so."""
    model = await host.serve("bank", 1)
    await host.manager.stop()
    host.short = "needs 300 MiB more"
    await host.start()
    (reason,) = host.bay.status("bank").reasons
    assert (host.bay.state("bank"), reason.code) == ("failed", "no_room_for_model")
    with pytest.raises(NoRoomForModel, match="300 MiB"):
        await host.ask("bank")
    host.short = None
    assert await host.ask("bank") == model
    assert host.bay.state("bank") == "ready"


async def test_what_vllm_refuses_is_the_reason(host: Host) -> None:
    """The name never means it."""
    host.slow = True
    host.put("bank", 1)
    look = host.bay.begin_look()
    await quiet()
    (engine,) = host.engines.values()
    engine.fail("start", EngineUnavailable("vLLM did not start: no such layer"))
    engine.release("start")
    await look
    assert host.bay.state("bank") == "failed"
    assert "no such layer" in host.bay.status("bank").reasons[0].text
    assert host.bay.live("bank") is None


async def test_an_adapter_may_become_a_model_and_the_reverse(host: Host) -> None:
    """The name is the same to its clients: the way out for a domain, and back."""
    await host.bay.serve("bank", 1)
    model = await host.serve("bank", 2)
    assert model.is_model
    assert await host.ask("bank") == model
    assert host.shared.loaded == set()
    await host.bay.serve("bank", 1)
    await quiet()
    assert not (await host.ask("bank")).is_model
    assert host.up == set()


async def test_a_model_is_no_part_of_a_composite(host: Host) -> None:
    """The reason says that it is no adapter."""
    await host.serve("bank", 1)
    make_composite(host.bay.root / "mixed", "bank")
    await host.bay.look()
    assert host.bay.state("mixed") == "rejected"
    assert "whole model" in " ".join(reason.text for reason in host.bay.status("mixed").reasons)
