"""All replicas as one engine: what a server in front of them starts, asks and loads into.

A request goes to the replica that its adapter, its session and the loads choose. A new version of
an adapter is loaded wherever the old one is, before its name flips. Which replica is there, and
which is not, is for the cluster to know: it replaces what dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Set as AbstractSet
from typing import TYPE_CHECKING, Any, Protocol

from lorabay.cluster.choice.affinity import affinity
from lorabay.cluster.choice.choice import Wish
from lorabay.cluster.replicas.conversation import Conversation
from lorabay.cluster.replicas.messages import Errand, Facts, Message, Question
from lorabay.errors import EngineUnavailable
from lorabay.serving.engine import (
    CALLS,
    AdapterRoom,
    Compiled,
    Meter,
    Slots,
    StepTokens,
    not_served,
)

if TYPE_CHECKING:
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.versions import Digest, Version
    from lorabay.serving.engine import Answer, AnswerStream, Body, Call

BASE = "base"
"""What requests for the bare base are told by, in place of a digest."""
SESSION = "X-Session-Id"
"""The header by which a client says which requests belong together."""
LOOK_S = 2.0
"""How often replicas are asked for their facts."""
EVERYWHERE_S = 30.0
"""How long all replicas together may take over a version; whoever is silent then is left out, and
loads the version when a request comes that brings it.
"""


class Line(Protocol):
    """The way to the replicas; what is gone raises EngineUnavailable."""

    async def open(self) -> None:
        """Start the replicas, and return once they can be asked; raises SetupError."""
        ...

    async def close(self) -> None:
        """End the replicas; idempotent."""
        ...

    def ask(self, question: Question) -> AsyncGenerator[list[Message]]:
        """Yield what the chosen replica answers; closing it aborts the generation."""
        ...

    async def tell_one(self, errand: Errand) -> None:
        """Have the chosen replica load a version."""
        ...

    async def tell_all(self, method: str, *arguments: Any) -> list[Any]:
        """Call a method of every replica, and return what they return."""
        ...


class ReplicasEngine:
    """An engine that is many. It fulfils the seam `serving.engine.Engine`."""

    def __init__(self, line: Line, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        self._line = line
        self._sleep = sleep
        self._facts: list[Facts] = []
        self._schemas: Mapping[str, Mapping[str, Any]] = {}
        self._loaded: dict[AdapterName, Digest] = {}
        """The weights of each adapter that were loaded last."""
        self._pinned: Callable[[], AbstractSet[Digest]] = frozenset
        self._when_resized: list[Callable[[], None]] = []
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the replicas, and follow what they tell of themselves."""
        await self._line.open()
        self._hear(await self._line.tell_all("facts"))
        self._schemas = (await self._line.tell_all("schemas"))[0]
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """End the replicas; idempotent."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        self._facts = []
        await self._line.close()

    async def died(self) -> None:
        """Never return: the cluster replaces replicas that die."""
        await asyncio.Event().wait()

    async def beat(self) -> None:
        """Return soon: the cluster asks each replica for signs of life."""
        await asyncio.sleep(0)

    async def kill(self) -> None:
        """Do nothing: one replica that hangs is no reason to end the others."""

    def check(self) -> None:
        """Raise EngineUnavailable while no replica is up."""
        if not self._facts:
            raise EngineUnavailable("no replica is up", retry_after=LOOK_S)

    def check_call(self, call: Call) -> None:
        """Raise CallNotServed for a call that the replicas do not answer."""
        if self._facts and call.name not in self._facts[0].calls:
            raise not_served(call, [one for one in CALLS if one.name in self._facts[0].calls])

    @property
    def max_model_len(self) -> int | None:
        """The shortest context of all replicas."""
        return min(_known([facts.max_model_len for facts in self._facts]), default=None)

    @property
    def max_sequences(self) -> int | None:
        """Sequences that all replicas compute at once."""
        return sum(_known([facts.max_sequences for facts in self._facts])) or None

    @property
    def reads_at_once(self) -> StepTokens | None:
        """Tokens of prompts that all replicas read in a step."""
        steps = [facts.reads_at_once for facts in self._facts if facts.reads_at_once is not None]
        if not steps:
            return None
        return StepTokens(sum(one.beside for one in steps), sum(one.alone for one in steps))

    @property
    def adapter_room(self) -> AdapterRoom | None:
        """The adapters that all replicas take; None while no replica is up."""
        if not self._facts:
            return None
        places = sum(facts.places for facts in self._facts)
        return AdapterRoom(places, sum(facts.slots for facts in self._facts))

    def when_resized(self, resized: Callable[[], None]) -> None:
        """Call `resized`, too, whenever replicas have come or gone, or one has become another."""
        self._when_resized.append(resized)

    @property
    def compiled(self) -> Compiled | None:
        """Whether the base runs compiled: as the slowest replica has it."""
        stages = {facts.compiled for facts in self._facts}
        for stage in (Compiled.NO, Compiled.COMPILING, Compiled.YES):
            if stage in stages:
                return stage
        return None

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the schemas of bodies, which are the same at every replica."""
        return self._schemas

    def slots(self) -> Slots | None:
        """Return the weights that have a slot of some replica, and the slots of all of them."""
        if not self._facts:
            return None
        held: frozenset[Digest] = frozenset()
        for facts in self._facts:
            held |= facts.held
        return Slots(held, sum(one.slots for one in self._facts))

    def keep_in_slots(self, pinned: Callable[[], AbstractSet[Digest]]) -> None:
        """Let every replica keep these weights longest."""
        self._pinned = pinned

    async def load(self, version: Version) -> None:
        """Load a version wherever a former one of its adapter is, else where it is at home."""
        former = self._loaded.get(version.adapter, version.weights)
        is_successor = former != version.weights
        if not is_successor or not any(await self._everywhere("prepare_successor", version)):
            await self._line.tell_one(Errand(Wish(version.weights), version))
        self._loaded[version.adapter] = version.weights

    async def unload(self, version: Version) -> None:
        """Drop a version's weights everywhere."""
        await self._everywhere("forget", version)
        if self._loaded.get(version.adapter) == version.weights:
            del self._loaded[version.adapter]

    async def _everywhere(self, method: str, version: Version) -> list[Any]:
        """Tell all replicas, and return what they return; nothing if one of them is silent."""
        try:
            async with asyncio.timeout(EVERYWHERE_S):
                return await self._line.tell_all(method, version)
        except TimeoutError:
            return []

    async def run(
        self,
        call: Call,
        body: Body,
        version: Version | None,
        *,
        request_id: str,
        headers: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        """Have a replica answer; see `serving.engine.Engine.run`."""
        meter = meter or Meter()
        passed = dict(headers or {})
        session = passed.pop(SESSION, None)

        question = Question(
            _wish(version, session, body),
            call.name,
            body,
            version,
            request_id,
            passed,
            meter.goes_first,
        )
        return await Conversation(self._line.ask(question), meter).answer()

    async def _follow(self) -> None:
        """Ask the replicas for their facts again and again: they come, go and change."""
        while True:
            await self._sleep(LOOK_S)
            try:
                await self._line.tell_all("pin", frozenset(self._pinned()))
                facts = await self._line.tell_all("facts")
            except EngineUnavailable:
                facts = []
            self._hear(facts)

    def _hear(self, facts: list[Facts]) -> None:
        """Take over what the replicas tell, and say so if they are of another size together."""
        before, self._facts = self._size, facts
        if self._size != before:
            for resized in self._when_resized:
                resized()

    @property
    def _size(self) -> tuple[AdapterRoom | None, int | None, StepTokens | None]:
        return self.adapter_room, self.max_sequences, self.reads_at_once


def _wish(version: Version | None, session: str | None, body: Body) -> Wish:
    """Return what a request wishes: the cache key that OpenAI's clients send is a session, too."""
    key = BASE if version is None else str(version.weights)
    named = session or body.get("prompt_cache_key")
    bound = affinity(key, named if isinstance(named, str) else None, body)
    return Wish(key, bound, anywhere=version is None)


def _known(values: list[int | None]) -> list[int]:
    return [value for value in values if value is not None]
