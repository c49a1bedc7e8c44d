"""An engine in virtual time behind a gate: batches, prompts in slices, and newcomers first.

A step takes `STEP_S`, and more for each row that gets a token and for each token of a prompt. These
are times of two cores with AVX-512 and the default base in float32.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

from lorabay.serving.turns.flows import Flow, cost
from lorabay.serving.turns.turn_gate import TurnGate

STEP_S, ROW_S, PROMPT_S = 0.022, 0.001, 0.0006
SLICE, WHOLE = 32, 2048
STEPS_BETWEEN = 3


@dataclass(eq=False)
class Asked:
    """One request in the engine."""

    prompt: int
    tokens: int
    is_newcomer: bool = False
    spent: float = 0.0
    read: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class PlayedEngine:
    """Computes what it is given, step by step, until it is cancelled."""

    def __init__(self, *, slice_tokens: int = SLICE, newcomers_first: bool = True) -> None:
        self._slice = slice_tokens
        self._newcomers_first = newcomers_first
        self._unread: list[Asked] = []
        self._streams: list[Asked] = []
        self._steps_of_streams = STEPS_BETWEEN
        self._given = asyncio.Event()
        self.generated = 0

    def give(self, asked: Asked) -> None:
        """Have a request computed."""
        self._unread.append(asked)
        self._given.set()

    async def run(self) -> None:
        """Compute for ever."""
        while True:
            if not self._unread and not self._streams:
                self._given.clear()
                await self._given.wait()
            await self._step()

    async def _step(self) -> None:
        newcomers = [one for one in self._unread if one.is_newcomer and self._newcomers_first]
        rows, room = list(self._streams), self._slice
        if not self._streams:
            room = WHOLE
        elif newcomers and self._steps_of_streams >= STEPS_BETWEEN:
            prompts = sum(one.prompt for one in newcomers)
            rows, room = [], min(prompts, len(self._streams) + self._slice)
        self._steps_of_streams = self._steps_of_streams + 1 if rows else 0

        read, tokens = [], 0
        for one in newcomers + [one for one in self._unread if one not in newcomers]:
            part = min(one.prompt, room - tokens)
            one.prompt -= part
            one.spent += cost(part, 0)
            tokens += part
            if not one.prompt and part:
                read.append(one)

        await asyncio.sleep(STEP_S + ROW_S * len(rows) + PROMPT_S * tokens)
        for one in read:
            self._unread.remove(one)
            self._streams.append(one)
        for one in rows + read:
            self.generated += 1
            one.tokens -= 1
            one.spent += cost(0, 1)
            one.read.set()
            if not one.tokens:
                self._streams.remove(one)
                one.ended.set()


@dataclass
class Clients:
    """Clients of a gate in front of a played engine; `got` is what each tenant has been given."""

    gate: TurnGate
    engine: PlayedEngine
    got: Counter[str] = field(default_factory=Counter)
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    async def ask(self, flow: Flow, prompt: int, tokens: int) -> float:
        """Return the seconds until the first token, when the answer has ended."""
        now = asyncio.get_running_loop().time
        asked_at, charged = now(), cost(prompt, tokens)
        asked = Asked(prompt, tokens)
        turn = await self.gate.take(
            None, flow, cost=charged, prompt=prompt, spent=lambda: asked.spent
        )
        asked.is_newcomer = turn.is_newcomer
        self.engine.give(asked)
        await asked.read.wait()
        turn.read()
        first = now() - asked_at
        await asked.ended.wait()
        turn.end()
        turn.settle(charged)
        self.got[flow.tenant] += round(charged)
        return first

    async def keep_asking(self, flow: Flow, prompt: int, tokens: int) -> None:
        """Ask again and again, for about so many tokens, until it is cancelled."""
        while True:
            await self.ask(flow, prompt, self.dice.randint(tokens // 2, tokens * 3 // 2))
