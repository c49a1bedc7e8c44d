"""Everything at once, in random order: folders change, requests come and go, loads hang and fail,
the engine dies.

Only the engine is fake, and time is virtual. What must hold at every step, and what must be true
when all is quiet again, is below; a failing example names the order that broke it.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Coroutine, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import structlog
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.registry.adapter_state import AdapterStatus
from lorabay.catalog.versions import Version
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    EngineUnavailable,
    LorabayError,
    ModelNotFound,
    SetupError,
    WeightsRefused,
)
from lorabay.serving.engine import CHAT, Answer, AnswerStream, Body
from tests.examples import histories
from tests.fake_engine import echo
from tests.serving.bay import ADMIN, POLL_S, Bay
from tests.serving.mortal_engine import MortalEngine
from tests.serving.places import check_places, held
from tests.virtual_time import VirtualTimeLoop, quiet

NAMES = ("ads", "bank", "shop")
CONTENTS = (1, 2, 3, 4, 5)
"""What a folder may hold; the last ones are other defaults of weights that come before."""

OTHER_DEFAULTS = {4: (1, "other"), 5: (2, "another")}
CAPACITY = 2
REFUSED = AdapterRejected("it", ("refused by a test",))

names, contents = st.sampled_from(NAMES), st.sampled_from(CONTENTS)
picks = st.integers(0, 9)
Result = TypeVar("Result")
Item = TypeVar("Item")


def pick(items: Iterable[Item], which: int) -> Item:
    """One of those there are."""
    some = list(items)
    return some[which % len(some)]


def parts(content: int) -> tuple[int, str]:
    """Return the weights of a content, and what it says of its use."""
    return OTHER_DEFAULTS.get(content, (content, ""))


@dataclass
class Request:
    """A client's request; runs in the engine until `may_end`, unless the engine dies under it."""

    asked: Version | None
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    runs: bool = False


class Everything(RuleBasedStateMachine):
    """The folders as they should be served, beside a server that has to keep up."""

    shapes: BaseShapes

    def __init__(self) -> None:
        super().__init__()
        self.exits = ExitStack()
        folder = self.exits.enter_context(tempfile.TemporaryDirectory())
        self.exits.enter_context(structlog.testing.capture_logs())
        self.runner = self.exits.enter_context(asyncio.Runner(loop_factory=VirtualTimeLoop))
        self.bay = Bay(Path(folder), self.shapes)
        self.exits.callback(self.bay.store.close)
        self.folders: dict[str, int | None] = {}
        self.known: dict[Version, None] = {}
        self.doubtful: set[str] = set()
        self.withdrawn: set[str] = set()
        self.unloaded: dict[str, int | None] = {}
        """What each folder held when it was unloaded last: the same content may stay away."""
        self.requests: dict[asyncio.Task[None], Request] = {}
        self.admin_calls: list[asyncio.Task[None]] = []
        self.engine = MortalEngine()
        self.engine.reply = self.answer
        self.running: Request | None = None
        self.count = itertools.count()
        self.do(self.start())

    async def start(self) -> None:
        clock = asyncio.get_running_loop().time
        self.manager = self.bay.manager(self.engine, capacity=CAPACITY, preload=1, clock=clock)
        await self.bay.reconciler.read_directory()
        await self.manager.start()

    def do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(work)

    def rest(self) -> None:
        self.do(quiet())
        # Before it is open, versions may be on trial, which have no place.
        if self.manager.engine.up:
            check_places(self.manager.residency, self.engine)

    # The directory; `seen` is whether an event tells the server

    @rule(name=names, content=contents, seen=st.booleans())
    def put(self, name: str, content: int, seen: bool) -> None:
        weights, says = parts(content)
        self.bay.put(name, weights, says=says)
        self.folders[name] = content
        self.withdrawn.discard(name)
        self.known[self.version(name, content)] = None
        self.changed(seen)

    def version(self, name: str, content: int) -> Version:
        weights, says = parts(content)
        return self.bay.version(name, weights, says=says)

    @rule(name=names, seen=st.booleans())
    def put_broken(self, name: str, seen: bool) -> None:
        self.bay.put_broken(name)
        self.folders[name] = None
        self.withdrawn.discard(name)
        self.changed(seen)

    @precondition(lambda self: self.folders)
    @rule(which=picks, seen=st.booleans())
    def take_away(self, which: int, seen: bool) -> None:
        name = pick(self.folders, which)
        self.bay.take_away(name)
        del self.folders[name]
        self.withdrawn.discard(name)
        self.changed(seen)

    @precondition(lambda self: self.folders)
    @rule(which=picks, seen=st.booleans())
    def touch(self, which: int, seen: bool) -> None:
        name = pick(self.folders, which)
        self.bay.touch(name)
        self.withdrawn.discard(name)
        self.changed(seen)

    def changed(self, seen: bool) -> None:
        if seen:
            self.bay.reconciler.look_again()
            self.rest()

    # Clients

    @precondition(lambda self: self.bay.registry.names())
    @rule(which=picks)
    def ask(self, which: int) -> None:
        self.do(self.begin(pick(self.bay.registry.names(), which)))

    @precondition(lambda self: self.known)
    @rule(which=picks)
    def ask_for_a_version(self, which: int) -> None:
        version = pick(self.known, which)
        self.do(self.begin(version.id))

    async def begin(self, model: str) -> None:
        live = self.bay.live(model)
        with suppress(ModelNotFound):
            lease = self.bay.registry.acquire(model)
            assert lease.version is not None
            assert lease.version == live or lease.version.id == model
            request = Request(lease.version)

            async def run() -> None:
                with lease, suppress(EngineUnavailable, WeightsRefused):
                    await self.client(request, lease.version)

            self.requests[asyncio.create_task(run())] = request
        await quiet()

    async def client(self, request: Request, version: Version | None) -> None:
        assert version is not None
        self.manager.engine.check()
        held = self.manager.hold(version)
        try:
            await self.manager.ensure(version)
            await self.compute(request, version)
        finally:
            held.release()

    async def compute(self, request: Request, version: Version) -> None:
        self.running = request
        # No two requests ask the same: the same one would be refused after two deaths.
        body = {"model": "it", "prompt": str(next(self.count))}
        try:
            await self.manager.engine.run(CHAT, body, version, request_id="1")
            self.manager.answered(version)
        finally:
            self.running = None
            self.manager.ended(version)

    async def answer(self, body: Body) -> Answer | AnswerStream:
        request, self.running = self.running, None
        if request is None:
            return await echo(body)  # a trial
        version = request.asked
        assert version is not None
        assert self.engine.asked[-1][2] == version
        assert self.engine.holds(version), (
            "a request runs on a version that the engine does not hold"
        )
        request.runs = True
        ends = [
            asyncio.create_task(self.engine.dead.wait()),
            asyncio.create_task(request.may_end.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            request.runs = False
            for end in ends:
                end.cancel()
        self.engine.check()
        return await echo(body)

    @precondition(lambda self: self.requests)
    @rule(which=picks, politely=st.booleans())
    def end(self, which: int, politely: bool) -> None:
        task = pick(self.requests, which)
        self.requests[task].may_end.set()
        if not politely:
            task.cancel()
        self.rest()
        if task.done():  # else it still waits for a place
            del self.requests[task]

    # An admin

    @rule(name=names)
    def roll_back(self, name: str) -> None:
        self.do(self.call(self.bay.changes.roll_back(name, None, who=ADMIN)))

    @rule()
    def rescan(self) -> None:
        self.do(self.call(self.bay.look()))

    @rule(name=names, pinned=st.booleans())
    def pin(self, name: str, pinned: bool) -> None:
        with suppress(AdapterConflict):
            self.bay.registry.set_pinned(name, pinned)
        self.manager.residency.look_for_room()
        self.rest()

    @rule(name=names)
    def withdraw(self, name: str) -> None:
        if self.bay.live(name) is not None and name in self.folders:
            self.do(self.bay.changes.withdraw(name, who=ADMIN))
            self.withdrawn.add(name)
            self.unloaded[name] = self.folders[name]
            assert self.bay.live(name) is None

    @precondition(lambda self: not self.requests)
    @rule()
    def restart(self) -> None:
        """The server ends and begins again; nobody held a lease."""
        self.do(self.begin_again())

    async def begin_again(self) -> None:
        self.engine.forgive_all()
        await self.manager.stop()
        await asyncio.gather(*self.admin_calls)
        self.bay.restart()
        self.engine = MortalEngine()
        self.engine.reply = self.answer
        await self.start()

    async def call(self, work: Coroutine[Any, Any, None]) -> None:
        async def run() -> None:
            with suppress(LorabayError):
                await work

        self.admin_calls.append(asyncio.create_task(run()))
        await quiet()

    # The engine

    @rule(verb=st.sampled_from(["load", "unload"]))
    def hold(self, verb: str) -> None:
        self.engine.hold(verb)

    @rule()
    def release(self) -> None:
        self.engine.release_all()
        self.rest()

    @precondition(lambda self: self.known)
    @rule(which=picks)
    def refuse(self, which: int) -> None:
        version = pick(self.known, which)
        self.doubtful.add(version.weights)
        self.engine.fail(f"load {version.id}", REFUSED)

    @rule(times=st.integers(0, 2))
    def die(self, times: int) -> None:
        self.engine.fail("start", *[SetupError("no memory")] * times)
        self.engine.die()
        self.rest()

    @rule(seconds=st.sampled_from([0.1, 1.0, POLL_S, 40.0]))
    def wait(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    @invariant()
    def at_every_step(self) -> None:
        for request in self.requests.values():
            assert not request.runs or self.is_held(request.asked)
        leased = sum(count for status in self.bay.registry.snapshot() for _, count in status.leases)
        assert leased == sum(not task.done() for task in self.requests)
        assert self.engine.most_loaded <= CAPACITY + 1
        if self.engine.up:
            assert held(self.manager.residency) <= self.engine.loaded
        # Weights are in the engine once, whatever versions share them.
        assert len({version.weights for version in self.engine.loaded}) == len(self.engine.loaded)

    def is_held(self, version: Version | None) -> bool:
        return version is not None and self.engine.holds(version)

    # When all is quiet

    def teardown(self) -> None:
        with self.exits:
            self.do(self.calm())
            self.check_what_is_live()
            self.do(self.check_answers())
            self.do(self.manager.stop())
            assert not self.do(self.others())

    async def calm(self) -> None:
        self.engine.forgive_all()
        for request in self.requests.values():
            request.may_end.set()
        await asyncio.sleep(10 * POLL_S)
        await asyncio.gather(*self.requests, *self.admin_calls)
        assert self.engine.up
        assert not any(status.leases for status in self.bay.registry.snapshot())
        residency = self.manager.residency
        assert held(residency) == self.engine.loaded
        assert residency.resident().keys() == residency.placed()

    def check_what_is_live(self) -> None:
        assert set(self.bay.registry.names()) <= set(self.folders)
        for name, content in self.folders.items():
            status = self.bay.status(name)
            if name in self.withdrawn:
                assert (status.state, status.live) == ("removed", None)
                continue
            if content == self.unloaded.get(name, 0) and status.state == "removed":
                assert status.live is None
                continue
            if content is None:
                # Whoever rolls back beside a broken folder has decided what is served.
                assert status.state == "rejected" or (status.state, status.rollback is None) == (
                    "ready",
                    False,
                )
                assert status.live is None or status.live in self.known
            elif status.state == "failed":
                # Equal weights share a refusal, under whatever name.
                assert self.version(name, content).weights in self.doubtful | self.quarantined()
            else:
                assert status.state == "ready"
                wanted = (
                    status.rollback.to if status.rollback else self.version(name, content).digest
                )
                assert status.live is not None
                assert status.live.digest == wanted

    def quarantined(self) -> set[str]:
        events = [event for event in self.bay.events.latest(1000) if event.what == "quarantined"]
        ids = {event.version for event in events}
        return {version.weights for version in self.known if version.id in ids}

    async def check_answers(self) -> None:
        for name in self.bay.registry.names():
            request = Request(self.bay.live(name))
            request.may_end.set()
            with self.bay.registry.acquire(name) as lease:
                try:
                    await self.client(request, lease.version)
                except WeightsRefused:
                    self.is_refused(self.bay.status(name))

    def is_refused(self, status: AdapterStatus) -> None:
        assert status.state in ("failed", "rejected")
        assert status.live is not None
        assert status.live.weights in self.doubtful | self.quarantined()

    async def others(self) -> set[asyncio.Task[Any]]:
        await quiet()
        return asyncio.all_tasks() - {asyncio.current_task()}


def test_whatever_the_order(shapes: BaseShapes) -> None:
    """No order of events mixes versions, loses a lease, unloads what runs, or leaves the wrong
    thing live.
    """
    Everything.shapes = shapes
    run_state_machine_as_test(Everything, settings=histories(60, steps=40))
