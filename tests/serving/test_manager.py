"""One server's adapters from its start to its stop, over an engine that dies and refuses when a
test wants it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
import structlog

from lorabay.api.measuring.request_metrics import RequestMetrics
from lorabay.catalog.versions import Version
from lorabay.errors import (
    AdapterRejected,
    EngineUnavailable,
    ModelNotFound,
    RequestRefused,
    SetupError,
    WeightsRefused,
)
from lorabay.serving.engine import CHAT, Answer, AnswerStream, Body, Meter, Slots
from lorabay.serving.manager import AdapterManager
from tests.fake_engine import echo
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.versions import BASE_NAMES
from tests.virtual_time import quiet

REFUSAL = AdapterRejected("finance", ("no such module",))


class Server:
    """A host, and clients that ask it as the API does."""

    def __init__(self, bay: Bay, engine: MortalEngine, manager: AdapterManager) -> None:
        self.bay, self.engine, self.manager = bay, engine, manager

    async def ask(self, model: str, prompt: str = "Hi") -> Version | None:
        """Send one request; gives the version that answered."""
        with self.bay.registry.acquire(model) as lease, ExitStack() as held:
            self.manager.engine.check()
            if lease.version is not None:
                held.callback(self.manager.hold(lease.version).release)
                await self.manager.ensure(lease.version)
            try:
                body = {"model": model, "prompt": prompt}
                await self.manager.engine.run(CHAT, body, lease.version, request_id="1")
                if lease.version is not None:
                    assert self.engine.holds(lease.version)
                    self.manager.answered(lease.version)
            finally:
                if lease.version is not None:
                    self.manager.ended(lease.version)
            return lease.version

    def count(self, series: str, **labels: str) -> float | None:
        return self.bay.metrics.registry.get_sample_value(series, labels)


@pytest.fixture
async def server(bay: Bay) -> AsyncIterator[Server]:
    """Room for three adapters, of which two are loaded at the start; not started yet."""
    engine = MortalEngine()
    clock = asyncio.get_running_loop().time
    manager = bay.manager(engine, capacity=3, preload=2, clock=clock)
    yield Server(bay, engine, manager)
    await manager.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def resident(server: Server) -> list[str]:
    """Return the adapters whose live weights are in the engine, least recently used first."""
    live = [server.bay.live(name) for name in server.bay.registry.names()]
    adapters = {version.weights: version.adapter for version in live if version is not None}
    return [adapters[weights] for weights in server.manager.residency.resident()]


async def start(server: Server, *names: str) -> None:
    """Start over a directory that holds these adapters, each with weights of its own."""
    for number, name in enumerate(names):
        server.bay.put(name, number + 1)
    await server.bay.reconciler.read_directory()
    await server.manager.start()


async def die(server: Server) -> None:
    """The engine's process ends; returns when it is up again and nothing more happens."""
    server.engine.die()
    await asyncio.sleep(100)


async def test_the_start_loads_the_first_adapters(server: Server) -> None:
    """The start loads as many as it is told; the rest are loaded when they are asked for."""
    await start(server, "ads", "bank", "shop")
    assert resident(server) == ["ads", "bank"]
    assert await server.ask("shop") == server.bay.live("shop")
    assert len(server.engine.loaded) == 3


async def test_pinned_adapters_are_loaded_first(server: Server) -> None:
    """A pin of an earlier run counts before the alphabet."""
    server.bay.put("shop", 3)
    await server.bay.look()
    server.bay.registry.set_pinned("shop", True)
    await start(server, "ads", "bank")
    assert resident(server) == ["shop", "ads"]


async def test_the_engine_knows_the_pins_of_the_moment(server: Server) -> None:
    """Whenever it looks, so that they reach its slots, too."""
    await start(server, "ads", "bank")
    assert server.engine.pinned() == set()
    server.bay.registry.set_pinned("bank", True)
    assert server.engine.pinned() == {server.bay.live("bank").weights}


async def test_what_was_asked_for_last_is_loaded_first_again(server: Server) -> None:
    """After a death those adapters come back first that are in use, whatever their names."""
    await start(server, "ads", "bank", "law", "tax")
    for model in ("ads", "tax", "law"):
        await server.ask(model)
    await die(server)
    assert resident(server) == ["law", "tax"]


async def test_more_pins_than_places_do_not_hold_up_the_start(server: Server) -> None:
    """The places are filled, and the start does not wait for one that will never be free."""
    names = ("ads", "bank", "law", "shop", "tax")
    for number, name in enumerate(names):
        server.bay.put(name, number + 1)
    await server.bay.look()
    for name in names:
        server.bay.registry.set_pinned(name, True)
    await start(server)
    assert asyncio.get_running_loop().time() < 10
    assert len(server.engine.loaded) == 3


async def test_the_declared_set_is_loaded_when_the_first_loads_have_ended(server: Server) -> None:
    """Not before the directory was read, nor before the adapters that the start loads are in the
    engine.
    """
    server.bay.put("ads", 1)
    assert not server.manager.declared_set_loaded
    await server.bay.reconciler.read_directory()
    load = f"load {server.bay.version('ads', 1).id}"
    server.engine.hold(load)
    starting = asyncio.create_task(server.manager.start())
    await quiet()
    server.manager.engine.check()
    assert not server.manager.declared_set_loaded
    server.engine.release(load)
    await starting
    assert server.manager.declared_set_loaded


async def test_an_engine_that_does_not_start_is_an_error(server: Server) -> None:
    """The start says why, and nothing follows the directory."""
    server.engine.fail("start", SetupError("no memory"))
    with pytest.raises(SetupError, match="no memory"):
        await start(server, "ads")
    assert not server.manager.declared_set_loaded


async def test_an_adapter_that_the_engine_refuses_does_not_stop_the_start(server: Server) -> None:
    """The others are loaded, and the server is ready."""
    server.engine.fail(f"load {server.bay.version('ads', 1).id}", REFUSAL)
    await start(server, "ads", "bank")
    assert server.manager.declared_set_loaded
    assert server.bay.state("ads") == "failed"
    assert await server.ask("bank")


async def test_a_death_during_the_first_loads_does_not_stop_the_start(server: Server) -> None:
    """The server starts, and the loads are made up for when the engine is back."""
    load = f"load {server.bay.version('ads', 1).id}"
    server.engine.hold(load)
    starting = asyncio.create_task(start(server, "ads", "bank"))
    await quiet()
    server.engine.die()
    await starting
    await asyncio.sleep(100)
    assert len(server.engine.loaded) == 2


async def test_the_directory_is_followed(server: Server) -> None:
    """A folder that appears is served by the next look of the timer, one that goes is gone."""
    await start(server)
    server.bay.put("ads", 1)
    await asyncio.sleep(POLL_S)
    assert await server.ask("ads") == server.bay.version("ads", 1)
    server.bay.take_away("ads")
    await asyncio.sleep(POLL_S + 1)
    with pytest.raises(ModelNotFound):
        await server.ask("ads")


async def test_what_the_watcher_sees_is_looked_at_at_once(bay: Bay) -> None:
    """A host wakes its reconciler whenever its watcher calls."""
    seen = asyncio.Event()

    async def watch(root: Path, wake: object, roots: tuple[Path, ...]) -> None:
        assert root == bay.root
        await seen.wait()
        assert callable(wake)
        wake()
        await asyncio.Event().wait()

    manager = bay.manager(MortalEngine(), watch=watch)
    await manager.start()
    await quiet()
    bay.put("ads", 1)
    seen.set()
    await quiet()
    assert bay.live("ads")
    await manager.stop()


async def test_forty_adapters_take_turns_in_three_places(server: Server) -> None:
    """Each is answered by its own weights, the engine never holds more than it has room for, and
    evictions count.
    """
    await start(server, *(f"a{number:02}" for number in range(40)))
    names = server.bay.registry.names()
    for _ in range(2):
        answers = await asyncio.gather(*(server.ask(name) for name in names), server.ask("tiny"))
        assert answers == [*(server.bay.live(name) for name in names), None]
    assert server.engine.most_loaded == 3
    assert server.count("lorabay_adapter_evictions_total", adapter="a05") == 2
    assert server.count("lorabay_adapter_load_seconds_count", adapter="a05") == 2


async def test_whoever_waits_for_a_turn_keeps_nobody_out(server: Server) -> None:
    """Leases on all that the engine holds: whose turn it is still finds room. Whoever computes
    keeps its weights.
    """
    await start(server, "ads", "bank", "law", "shop")
    await server.ask("law")
    leases = [server.bay.registry.acquire(name) for name in ("ads", "bank", "law")]
    ads = server.bay.live("ads")
    assert ads is not None
    held = server.manager.hold(ads)
    assert await server.ask("shop") == server.bay.live("shop")
    assert resident(server) == ["ads", "law", "shop"]
    held.release()
    for lease in leases:
        lease.release()


def labels_of(server: Server, series: str) -> list[tuple[str, ...]]:
    """Return the labels of every sample of a series."""
    return [
        tuple(sample.labels.values())
        for family in server.bay.metrics.registry.collect()
        for sample in family.samples
        if sample.name == series
    ]


async def test_routers_see_what_is_in_the_engine(server: Server) -> None:
    """An adapter in a slot is on the device, one that is only loaded in memory; the rest are in
    neither. Nothing is said while there is no engine.
    """
    await start(server, "ads", "bank", "law", "shop")
    ads = server.bay.live("ads")
    assert ads is not None
    server.bay.registry.set_pinned("bank", True)
    server.engine.in_slots = Slots(frozenset({ads.digest}), 2)
    assert labels_of(server, "vllm:lora_adapter_loaded") == [
        ("ads", "gpu", "false", "4"),
        ("bank", "cpu", "true", "4"),
    ]
    engine = {"model_name": BASE_NAMES[0], "engine": "0"}
    assert server.count("vllm:num_gpu_loaded_lora_adapters", **engine) == 1
    assert server.count("vllm:num_cpu_loaded_lora_adapters", **engine) == 2
    assert server.count("vllm:max_gpu_lora_adapters", **engine) == 2
    assert labels_of(server, "vllm:lora_requests_info") == [("2", "ads", "")]
    server.engine.die()
    server.engine.hold("start")
    await quiet()
    assert labels_of(server, "vllm:lora_adapter_loaded") == []
    assert server.count("vllm:max_gpu_lora_adapters", **engine) is None
    assert labels_of(server, "vllm:lora_requests_info") == []


async def test_an_adapter_that_is_removed_takes_its_series_along(server: Server) -> None:
    """By its folder or by an admin, and whatever still happens to it."""
    await start(server, "ads", "bank", "law")
    names = ("ads", "bank", "law")
    for name in names:
        await server.ask(name)
    assert all(pages_with(server, name) for name in names)
    server.bay.take_away("ads")
    await asyncio.sleep(POLL_S + 1)
    await server.bay.changes.withdraw("bank", who=ADMIN)
    assert [bool(pages_with(server, name)) for name in names] == [False, False, True]


def pages_with(server: Server, name: str) -> set[str]:
    """Return the counters and histograms that name an adapter."""
    return {
        family.name
        for family in server.bay.metrics.registry.collect()
        if family.type != "gauge"
        and any(sample.labels.get("adapter") == name for sample in family.samples)
    }


async def test_a_request_that_outlives_its_adapter_brings_nothing_back(server: Server) -> None:
    """A load, an eviction or an answer after the removal counts as unknown."""
    await start(server, "ads")
    ads = server.bay.live("ads")
    assert ads is not None
    with server.bay.registry.acquire("ads"):
        server.bay.take_away("ads")
        await asyncio.sleep(POLL_S + 1)
        with RequestMetrics(server.bay.metrics, CHAT) as measured:
            measured.begin("ads")
            measured.status = 200
    await quiet()
    assert pages_with(server, "ads") == set()
    assert pages_with(server, "__unknown__")


async def test_an_adapter_that_comes_back_counts_from_nothing(server: Server) -> None:
    """Its first load is its own again."""
    await start(server, "ads")
    server.bay.take_away("ads")
    await asyncio.sleep(POLL_S + 1)
    await server.bay.serve("ads", 7)
    assert server.count("lorabay_adapter_load_seconds_count", adapter="ads") == 1


async def test_a_refused_version_is_not_found(server: Server) -> None:
    """Clients get a 404 without the reason, which the admin side has; the engine is asked once."""
    await start(server, "ads", "bank", "law")
    law = server.bay.live("law")
    assert law is not None
    server.engine.fail(f"load {law.id}", REFUSAL)
    for _ in range(3):
        with pytest.raises(WeightsRefused) as failure:
            await server.ask("law")
        assert "no such module" not in failure.value.message
    assert server.engine.steps.count(f"load {law.id}") == 1
    assert server.bay.state("law") == "failed"
    assert [reason.text for reason in server.bay.status("law").reasons] == ["no such module"]
    assert server.bay.happened(adapter="law") == ["added", "refused"]


async def test_a_hiccup_of_the_disk_is_a_503_and_changes_nothing(server: Server) -> None:
    """A load that fails for another reason than its weights flips no name and is tried again."""
    await start(server, "ads", "bank", "law")
    law = server.bay.live("law")
    assert law is not None
    server.engine.fail(f"load {law.id}", EngineUnavailable("No such file or directory"))
    with pytest.raises(EngineUnavailable):
        await server.ask("law")
    assert (server.bay.live("law"), server.bay.state("law")) == (law, "ready")
    assert server.bay.happened(adapter="law") == ["added"]
    assert await server.ask("law") == law


async def test_one_adapter_that_cannot_be_loaded_now_does_not_stop_the_others(
    server: Server,
) -> None:
    """The start goes on with the next one, and the first is loaded when it is asked for."""
    ads = server.bay.version("ads", 1)
    server.engine.fail(f"load {ads.id}", EngineUnavailable("Input/output error"))
    await start(server, "ads", "bank")
    assert server.manager.declared_set_loaded
    assert server.bay.live("bank") in server.engine.loaded
    assert await server.ask("ads") == ads


async def test_a_refusal_ends_with_the_engine_that_made_it(server: Server) -> None:
    """The next engine may take the version, and then the adapter is ready again."""
    await start(server, "ads", "bank", "law")
    law = server.bay.live("law")
    assert law is not None
    server.engine.fail(f"load {law.id}", REFUSAL)
    with pytest.raises(WeightsRefused):
        await server.ask("law")
    await die(server)
    assert await server.ask("law") == law
    assert server.bay.state("law") == "ready"


async def test_a_former_version_that_is_refused_says_nothing_of_the_live_one(
    server: Server,
) -> None:
    """`name@digest` is not found; the adapter stays ready."""
    await start(server, "ads")
    old, new = server.bay.live("ads"), await server.bay.serve("ads", 9)
    assert old is not None
    await die(server)  # the next engine has not held it yet
    server.engine.fail(f"load {old.id}", REFUSAL)
    with pytest.raises(WeightsRefused):
        await server.ask(old.id)
    assert server.bay.state("ads") == "ready"
    assert await server.ask("ads") == new


async def test_a_death_is_a_503_until_the_engine_is_back(server: Server) -> None:
    """The first adapters are loaded again after a death, the others when they are asked for."""
    await start(server, "ads", "bank", "law")
    await server.ask("law")
    server.engine.die()
    server.engine.hold("start")
    await quiet()
    for model in ("ads", "law", "tiny"):
        with pytest.raises(EngineUnavailable):
            await server.ask(model)
    server.engine.release("start")
    await quiet()
    assert {version.adapter for version in server.engine.loaded} == {"law", "ads"}
    assert await server.ask("bank") == server.bay.live("bank")
    assert server.count("lorabay_engine_restarts_total", reason="died") == 1
    happened = server.bay.happened()
    assert happened[-2:] == ["engine died", "engine recovered"]


async def test_a_change_while_the_engine_is_down_is_made_up_for(server: Server) -> None:
    """The folder's new content is live as soon as the engine is back, without waiting for the
    timer.
    """
    await start(server, "ads")
    old = server.bay.live("ads")
    server.engine.die()
    server.engine.hold("start")
    server.bay.put("ads", 9)
    server.bay.put("bank", 8)
    await asyncio.sleep(3.5 * POLL_S)
    assert server.bay.live("ads") == old
    server.engine.release("start")
    await asyncio.sleep(1)
    assert await server.ask("ads") == server.bay.version("ads", 9)
    assert await server.ask("bank") == server.bay.version("bank", 8)


async def test_a_removal_while_the_engine_is_down_counts(server: Server) -> None:
    """A name goes with its folder, engine or not."""
    await start(server, "ads", "bank")
    server.engine.die()
    server.engine.hold("start")
    server.bay.take_away("ads")
    await asyncio.sleep(POLL_S + 1)
    assert server.bay.registry.names() == ("bank",)
    server.engine.release("start")
    await quiet()
    assert {version.adapter for version in server.engine.loaded} == {"bank"}


async def test_a_death_during_an_eviction(server: Server) -> None:
    """A request that waited for the room gets a 503, and the next finds everything in order."""
    await start(server, "ads", "bank", "law", "tax")
    await server.ask("law")
    ads = server.bay.live("ads")
    assert ads is not None
    server.engine.hold(f"unload {ads.id}")
    asking = asyncio.create_task(server.ask("tax"))
    await quiet()
    server.engine.die()
    with pytest.raises(EngineUnavailable):
        await asking
    await asyncio.sleep(100)
    assert await server.ask("tax") == server.bay.live("tax")
    assert server.engine.most_loaded == 3
    assert not any(status.leases for status in server.bay.registry.snapshot())


async def test_a_new_version_that_kills_the_engine_is_quarantined(server: Server) -> None:
    """It dies of the load, and then of the trial: it is not loaded again; the old version answers,
    and the folder's next content is served.
    """
    await start(server, "ads")
    old = server.bay.live("ads")
    killer = server.bay.version("ads", 9)
    server.engine.deadly.add(f"load {killer.id}")
    server.bay.put("ads", 9)
    await asyncio.sleep(20 * POLL_S)
    assert server.engine.steps.count(f"load {killer.id}") == 2
    assert server.count("lorabay_engine_restarts_total", reason="died") == 2
    assert server.bay.live("ads") == old
    assert server.bay.state("ads") == "failed"
    assert "quarantined" in server.bay.status("ads").reasons[0].text
    assert "quarantined" in server.bay.happened(adapter="ads")
    assert await server.ask("ads") == old
    server.bay.put("ads", 8)
    await asyncio.sleep(POLL_S)
    assert await server.ask("ads") == server.bay.version("ads", 8)


def crash_on(server: Server, model: str) -> None:
    """Make the engine die of every request with weights of `model`, the trial's included."""

    async def crash(body: Body) -> Answer | AnswerStream:
        if not body["model"].startswith(model):
            return await echo(body)
        server.engine.die()
        raise EngineUnavailable("the engine stopped")

    server.engine.reply = crash


async def test_a_version_whose_requests_kill_the_engine_is_quarantined(server: Server) -> None:
    """The first death puts it in doubt, the trial is the second; then it is not found. Nothing is
    left against what ran beside it.
    """
    await start(server, "ads", "bank")
    crash_on(server, "bank")
    with pytest.raises(EngineUnavailable):
        await server.ask("bank")
    await asyncio.sleep(100)

    with pytest.raises(WeightsRefused):
        await server.ask("bank")
    assert server.bay.state("bank") == "failed"
    assert await server.ask("ads") == server.bay.live("ads")
    assert server.count("lorabay_engine_restarts_total", reason="died") == 2
    assert server.count("lorabay_requests_refused_total") == 0
    assert server.bay.happened(adapter="bank") == ["added", "quarantined"]


async def kill_with(server: Server, model: str, prompt: str) -> None:
    """Send a request that is running when somebody kills the engine."""

    async def hang(body: Body) -> Answer | AnswerStream:
        if body.get("prompt") == prompt:
            await server.engine.dead.wait()
            raise EngineUnavailable("the engine stopped")
        return await echo(body)

    server.engine.reply = hang
    asking = asyncio.create_task(server.ask(model, prompt))
    await quiet()
    await die(server)
    with pytest.raises(EngineUnavailable):
        await asking


async def test_a_poison_request_never_blames_its_adapter(server: Server) -> None:
    """Not even one that had not answered before: the request itself is refused the third time."""
    await start(server, "ads", "bank")
    for _ in range(2):
        await kill_with(server, "bank", "poison")
        assert server.bay.state("bank") == "ready"
    with pytest.raises(RequestRefused):
        await server.ask("bank", "poison")
    assert await server.ask("bank", "something else") == server.bay.live("bank")
    assert server.count("lorabay_requests_refused_total") == 1
    assert "request refused" in server.bay.happened(adapter="bank")
    assert "quarantined" not in server.bay.happened()


async def test_a_request_that_copies_of_the_engine_die_of_is_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on and nothing restarts here; the log and the metrics have it all the same."""
    await start(server, "bank")
    copies = count(1)

    async def die_of_it(*_: object, meter: Meter, **__: object) -> Answer:
        meter.died(next(copies))
        raise EngineUnavailable("the replica is gone")

    with monkeypatch.context() as poison:
        poison.setattr(server.engine, "run", die_of_it)
        for _ in range(2):
            with pytest.raises(EngineUnavailable):
                await server.ask("bank", "poison")
            await asyncio.sleep(1)
    with pytest.raises(RequestRefused):
        await server.ask("bank", "poison")
    assert server.count("lorabay_requests_refused_total") == 1
    assert "request refused" in server.bay.happened(adapter="bank")


async def test_poison_that_changes_each_time_never_blames_its_adapter(server: Server) -> None:
    """Each one kills an engine; the adapter proves itself in each trial, and answers all along."""
    await start(server, "ads", "bank", "law")
    for number in range(4):
        await kill_with(server, "law", f"poison {number}")
        assert await server.ask("law") == server.bay.live("law")
    assert [server.bay.state(name) for name in ("ads", "bank", "law")] == ["ready"] * 3


async def test_an_engine_that_hangs_is_rebuilt_and_counted(server: Server) -> None:
    """Nobody has to help; the event and the metric say that it hung."""
    await start(server, "ads")
    server.engine.hang()
    await asyncio.sleep(200)
    assert server.count("lorabay_engine_restarts_total", reason="hung") == 1
    assert server.bay.happened()[-2:] == ["engine hung", "engine recovered"]
    assert await server.ask("ads") == server.bay.live("ads")


async def test_a_version_that_waited_is_not_blamed(server: Server) -> None:
    """A request that the engine has not seen is no suspect, however often the engine dies
    meanwhile.
    """
    await start(server, "ads", "bank", "law", "new")
    for name in ("ads", "bank", "law"):
        await server.ask(name)
    for _ in range(4):
        leases = [server.bay.registry.acquire(name) for name in ("ads", "bank", "law")]
        computed = [server.manager.hold(lease.version) for lease in leases if lease.version]
        for name in ("ads", "bank", "law"):
            await server.ask(name)
        asking = asyncio.create_task(server.ask("new"))
        await quiet()
        await die(server)
        with pytest.raises(EngineUnavailable):
            await asking
        for held in (*computed, *leases):
            held.release()
    assert await server.ask("new") == server.bay.live("new")


async def test_the_metrics_show_every_adapter_as_it_is(server: Server) -> None:
    """State, live version and where its weights are, at the moment of the scrape."""
    server.bay.put_broken("broken")
    await start(server, "ads", "bank", "law")
    for adapter, state, level in (
        ("ads", "ready", "engine"),
        ("law", "ready", "store"),
        ("broken", "rejected", None),
    ):
        assert server.count("lorabay_adapter_state", adapter=adapter, state=state) == 1
        for where in ("engine", "store"):
            resident = server.count("lorabay_adapter_resident", adapter=adapter, level=where)
            assert resident == (1 if where == level else None)
    ads = server.bay.live("ads")
    assert ads is not None
    labels = {"adapter": "ads", "version": ads.digest[:12], "format": ads.spec.format, "rank": "4"}
    assert server.count("lorabay_adapter_info", **labels) == 1
    server.bay.take_away("broken")
    await server.bay.look()
    assert server.count("lorabay_adapter_state", adapter="broken", state="rejected") is None


@pytest.mark.parametrize("moment", ["never started", "healthy", "draining", "loading", "down"])
async def test_stop_at_any_moment_leaves_no_task(server: Server, moment: str) -> None:
    """The end is clean whatever goes on; the fixture looks for tasks that are left."""
    if moment == "never started":
        return
    await start(server, "ads", "bank", "law")
    if moment == "draining":
        server.bay.registry.acquire("ads")
        await server.bay.serve("ads", 9)
    if moment == "loading":
        law = server.bay.live("law")
        assert law is not None
        server.engine.hold(f"load {law.id}")
        asking = asyncio.create_task(server.ask("law"))
        await quiet()
        await server.manager.stop()
        with pytest.raises(EngineUnavailable):
            await asking
    if moment == "down":
        server.engine.fail("start", *[SetupError("no memory")] * 100)
        server.engine.die()
        await asyncio.sleep(5)


async def test_a_live_version_that_the_engine_refuses_gives_way_to_the_former(
    server: Server,
) -> None:
    """After a restart of the engine, say: the name goes back, the newer one is failed, both are
    told.
    """
    await start(server)
    former, live = await server.bay.serve("ads", 1), await server.bay.serve("ads", 2)
    server.engine.fail(f"load {live.id}", REFUSAL)
    await die(server)
    assert server.bay.live("ads") == former
    assert server.bay.state("ads") == "failed"
    assert await server.ask("ads") == former
    assert server.bay.happened(adapter="ads")[-2:] == ["refused", "fell back"]


async def test_a_quarantine_survives_a_restart(bay: Bay) -> None:
    """The former version is live, the killer is not loaded again, and an admin's wish is what lifts
    it.
    """
    engine = MortalEngine()
    server = Server(bay, engine, bay.manager(engine, clock=asyncio.get_running_loop().time))
    await start(server)
    former, killer = await bay.serve("ads", 1), bay.version("ads", 2)
    await server.ask("ads")
    bay.put("ads", 2)
    engine.deadly.add(f"load {killer.id}")
    await asyncio.sleep(200)
    assert (bay.live("ads"), bay.state("ads")) == (former, "failed")
    await server.manager.stop()

    bay.restart()
    engine = MortalEngine()
    server = Server(bay, engine, bay.manager(engine, clock=asyncio.get_running_loop().time))
    await start(server)
    assert (bay.live("ads"), bay.state("ads")) == (former, "failed")
    assert f"load {killer.id}" not in engine.steps
    assert await server.ask("ads") == former
    server.manager.forgive(killer)
    bay.touch("ads")
    await bay.look()
    assert await server.ask("ads") == killer
    await server.manager.stop()


async def test_each_change_of_state_is_one_line_in_the_log(server: Server) -> None:
    """The line holds the states before and after, and the reasons."""
    await start(server)
    with structlog.testing.capture_logs() as lines:
        await server.bay.serve("ads", 1)
        with server.bay.registry.acquire("ads"):
            server.bay.take_away("ads")
            await server.bay.look()
        server.bay.put_broken("bank")
        await server.bay.look()
    states = [
        (line["adapter"], line["before"], line["after"])
        for line in lines
        if line["event"] == "state"
    ]
    assert states == [
        ("ads", "pending", "loading"),
        ("ads", "loading", "ready"),
        ("ads", "ready", "draining"),
        ("ads", "draining", "removed"),
        ("bank", "pending", "rejected"),
    ]
    (reasons,) = [
        line["reasons"]
        for line in lines
        if line["event"] == "state" and line["after"] == "rejected"
    ]
    assert "not valid JSON" in reasons
