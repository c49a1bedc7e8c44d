"""What slots cost by vLLM's own managers, as they come and with `slot_order`: counts, not guesses.

    python -m lorabay.vllm_plugin.slot_costs FILE ROUNDS

writes figures of `lorabay bench slots` to FILE, as JSON. The managers have adapters without
weights, so that their tables and orders are measured and nothing else: no engine, no device.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vllm.lora.model_manager import AdapterLRUCache, LRUCacheLoRAModelManager
from vllm.lora.request import LoRARequest
from vllm.lora.worker_manager import LRUCacheWorkerLoRAManager

from lorabay.vllm_plugin import slot_order
from lorabay.vllm_plugin.slot_popularity import SlotPopularity

SLOTS = 8
IN_MEMORY = 1000
ORDERS = 100
"""Batches are sets: so many orders in which vLLM may go through one."""

STEPS = 300

ADAPTERS, REQUESTS_A_SECOND, SECONDS, SHIFT_S = 100, 10, 600, 60
"""Requests by Zipf's law, whose favourites change every `SHIFT_S`."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Figures of one side. `copies` are those of each order."""

    copies: tuple[int, ...]
    """From the load of one adapter beside eight running ones until a batch computes with it."""
    lookup_ms: float
    """Time of one step that changes nothing, with eight adapters of a thousand in memory; median.
    """
    hits: float
    """Share of the requests whose adapter has a slot."""


class CountingAdapters(LRUCacheLoRAModelManager):  # type: ignore[misc]
    """vLLM's manager without a model; counts what it copies into slots, and how often it lists."""

    def __init__(self, slots: int, memory: int) -> None:
        self.lora_config = SimpleNamespace(max_loras=slots, max_cpu_loras=memory)
        self.lora_index_to_id = [None] * slots
        self.modules: dict[str, Any] = {}
        self._registered_adapters = AdapterLRUCache(memory, self.deactivate_adapter)
        self._active_adapters = AdapterLRUCache(slots, self._deactivate_adapter)
        self.copies: list[int] = []
        self.listed = 0

    def activate_adapter(self, lora_id: int) -> bool:
        """Count the copy, if the adapter was in no slot."""
        copied: bool = super().activate_adapter(lora_id)
        if copied:
            self.copies.append(lora_id)
        return copied

    def list_adapters(self) -> dict[int, Any]:
        """Count the call."""
        self.listed += 1
        adapters: dict[int, Any] = super().list_adapters()
        return adapters

    def _add_adapter(self, lora: Any) -> None:
        self._registered_adapters[lora.id] = lora


@dataclass(frozen=True, slots=True)
class Rules:
    """How a worker fills its slots: for a batch, and with an adapter that is loaded."""

    apply: Callable[..., Any]
    add: Callable[..., Any]


STOCK = Rules(slot_order.vllm_apply, slot_order.vllm_add)
OURS = Rules(slot_order.apply, slot_order.add)


class CountingWorker(LRUCacheWorkerLoRAManager):  # type: ignore[misc]
    """vLLM's manager of one worker, whose adapters need no files."""

    def __init__(self, rules: Rules, slots: int = SLOTS, memory: int = IN_MEMORY) -> None:
        self._apply_adapters = partial(rules.apply, self)
        self.add_adapter = partial(rules.add, self)
        self._adapter_manager = CountingAdapters(slots, memory)
        self.surely_fit = True

    @property
    def adapters(self) -> CountingAdapters:
        """The manager with the slots."""
        manager = self._adapter_manager
        assert isinstance(manager, CountingAdapters)  # noqa: S101
        return manager

    def _load_adapter(self, lora_request: Any) -> Any:
        return SimpleNamespace(id=lora_request.lora_int_id, surely_fits=self.surely_fit)

    def step(self, *ids: int) -> list[int]:
        """Prepare a batch; return the adapters that were copied into slots for it."""
        del self.adapters.copies[:]
        self._apply_adapters([request(number) for number in ids])
        return list(self.adapters.copies)


def request(number: int) -> LoRARequest:
    """Return vLLM's request for the adapter of an id."""
    return LoRARequest(f"a@{number}", number, "/store/a")


def costs_of(rules: Rules, seed: int) -> Costs:
    """Return the figures of one side; every side gets the same orders and the same requests."""
    chance = random.Random(seed)
    copies = tuple(copies_of_a_load(CountingWorker(rules), chance) for _ in range(ORDERS))
    return Costs(
        copies, lookup_ms(CountingWorker(rules), chance), hits(CountingWorker(rules), chance)
    )


def copies_of_a_load(worker: CountingWorker, chance: random.Random) -> int:
    """Return how many adapters are copied for a ninth one beside eight that run.

    It is loaded; the eight take one more step; then one of them has ended, and it is in the batch.
    """
    # A batch is a set, so that the order stays the same from step to step.
    running = chance.sample(range(1, SLOTS + 1), SLOTS)
    worker.step(*running)

    del worker.adapters.copies[:]
    worker.add_adapter(request(SLOTS + 1))
    copies = len(worker.adapters.copies)

    copies += len(worker.step(*running))
    return copies + len(worker.step(*running[1:], SLOTS + 1))


def lookup_ms(worker: CountingWorker, chance: random.Random) -> float:
    """Return the median time of a step for eight adapters that all have their slots."""
    for number in range(1, IN_MEMORY + 1):
        worker.add_adapter(request(number))
    batch = [request(number) for number in chance.sample(range(1, IN_MEMORY + 1), SLOTS)]
    worker._apply_adapters(batch)

    times = []
    for _ in range(STEPS):
        begun = time.perf_counter()
        worker._apply_adapters(batch)
        times.append(time.perf_counter() - begun)
    return 1_000 * statistics.median(times)


def hits(worker: CountingWorker, chance: random.Random) -> float:
    """Return the share of requests that find their adapter in a slot; each ends before the next."""
    now = 0.0
    slot_order.use_of(worker.adapters).popularity = SlotPopularity(lambda: now)

    copies = 0
    for now, number in _zipf(chance):  # noqa: B007 - the clock reads it
        copies += len(worker.step(number))
        worker.step()
    return 1 - copies / (SECONDS * REQUESTS_A_SECOND)


def _zipf(chance: random.Random) -> Iterator[tuple[float, int]]:
    """Yield times and adapters of requests."""
    order = list(range(1, ADAPTERS + 1))
    cumulated = list(itertools.accumulate(1 / rank for rank in range(1, ADAPTERS + 1)))
    for number in range(SECONDS * REQUESTS_A_SECOND):
        if number % (SHIFT_S * REQUESTS_A_SECOND) == 0:
            chance.shuffle(order)
        yield number / REQUESTS_A_SECOND, chance.choices(order, cum_weights=cumulated)[0]


def main(file: str, rounds: str) -> None:
    """Measure both sides in each round, and write what they cost."""
    costs = [
        {"stock": asdict(costs_of(STOCK, seed)), "ours": asdict(costs_of(OURS, seed))}
        for seed in range(int(rounds))
    ]
    Path(file).write_text(json.dumps(costs), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
