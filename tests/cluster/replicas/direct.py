"""Replicas in this process, reached as over a cluster: what is said is pickled on the way."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from typing import Any

from lorabay.cluster.choice.choice import View
from lorabay.cluster.choice.chooser import Chooser
from lorabay.cluster.choice.rendezvous import ReplicaId
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.messages import Errand, Message, Question
from lorabay.errors import EngineUnavailable
from tests.fake_engine import FakeEngine

ROOM = Room(capacity=4, slots=2)


class DirectLine:
    """The way to replicas of fake engines, which are chosen as a router does."""

    def __init__(self, *engines: FakeEngine, room: Room = ROOM) -> None:
        self.replicas = {
            ReplicaId(f"replica-{number}"): EngineReplica(engine, room)
            for number, engine in enumerate(engines)
        }
        self.asked: list[ReplicaId] = []
        self.is_cut = False
        self._chooser = Chooser()

    async def open(self) -> None:
        for replica in self.replicas.values():
            await replica.start()

    async def close(self) -> None:
        for replica in self.replicas.values():
            await replica.stop()

    async def ask(self, question: Question) -> AsyncGenerator[list[Message]]:
        queue: asyncio.Queue[Message | None] = asyncio.Queue()
        answer = self._chosen(question).answer(travelled(question), queue.put_nowait)
        asked = asyncio.create_task(answer)
        asked.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (message := await queue.get()) is not None:
                yield [travelled(message)]
        finally:
            asked.cancel()
            await asyncio.wait({asked})

    async def tell_one(self, errand: Errand) -> None:
        await self._chosen(errand).prepare(travelled(errand))

    async def tell_all(self, method: str, *arguments: Any) -> list[Any]:
        if self.is_cut:
            raise EngineUnavailable("no replica is up")
        results = []
        for replica in self.replicas.values():
            result = getattr(replica, method)(*travelled(arguments))
            results.append(travelled(await result if hasattr(result, "__await__") else result))
        return results

    def _chosen(self, asked: Question | Errand) -> EngineReplica:
        stats = {name: replica.stats() for name, replica in self.replicas.items()}
        holders: dict[str, set[ReplicaId]] = {}
        for name, one in stats.items():
            for key in one["held"]:
                holders.setdefault(key, set()).add(name)
        loads = {name: sum(one["running"].values()) for name, one in stats.items()}
        room = {name: one["places"] - len(one["held"]) for name, one in stats.items()}
        view = View(tuple(self.replicas), loads, holders, room, {}, 4, 8)
        name = self._chooser.choose(asked.wish, view, sum(loads.values()), 0.0)
        self.asked.append(name)
        return self.replicas[name]


def travelled(value: Any) -> Any:
    """What arrives of a value on the other side of a process."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301
