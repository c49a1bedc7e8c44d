"""The cost of serving domains, merged or shared: memory, devices and load. The whole model is here.

An engine is one process with one set of base weights. It takes

    weights + overhead + context * key-value bytes of a token   [+ slots * adapter]

bytes: room for one sequence of full length is what vLLM asks for at least, and only an engine that
shares the base has slots. A device offers `memory * usable` bytes.

A domain with a traffic of x tokens/s keeps x / speed of a device busy when it is merged, and
x / (speed * adapter_speed) when it shares, because rows with adapters decode slower. No device is
planned to be busier than `highest_load`: above it, requests wait for one another. A domain, or the
shared part, that is busier than one device gets several engines, each with an equal part.

Engines are put on devices by first fit, largest first. That is optimal here up to one device in
five (Dósa 2007: 11/9 OPT + 6/9), and exact where all engines are equal. An engine whose adapters
outnumber its slots loads them in turns, which costs waiting but no device.

The three ways differ only in who is merged: everybody, nobody, or the busiest few.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Figures:
    """What the model needs to know. Sizes in bytes, `speed` in tokens/s of one device.

    `speed` is None where nobody knows it; traffic then does not count.
    """

    weights: int
    adapter: int
    device_memory: int
    key_value: int
    context: int
    overhead: int
    usable: float = 0.9
    speed: float | None = None
    adapter_speed: float = 0.86
    highest_load: float = 0.7

    @property
    def device_bytes(self) -> int:
        """What a device offers to engines."""
        return int(self.device_memory * self.usable)

    @property
    def engine_bytes(self) -> int:
        """What an engine takes that has no adapters: that of a merged model."""
        return self.weights + self.overhead + self.key_value * self.context

    @property
    def merged_per_device(self) -> int:
        """How many merged models one device holds."""
        return self.device_bytes // self.engine_bytes

    def slots(self, domains: int) -> int:
        """Return how many adapters of so many domains a device holds beside their base."""
        room = self.device_bytes - self.engine_bytes
        return min(domains, max(0, room // self.adapter))

    def busy(self, traffic: float, *, merged: bool) -> float:
        """Return the share of a device that a traffic keeps busy."""
        if self.speed is None:
            return 0.0
        return traffic / (self.speed if merged else self.speed * self.adapter_speed)


@dataclass(frozen=True, slots=True)
class Engine:
    """One process on a device: its bytes, and the share of the device that it keeps busy."""

    size: int
    busy: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Domains on devices: the `merged` busiest have an engine of their own, the others share.

    `memory` is the bytes of all engines, `busiest` the load of the busiest device.
    """

    domains: int
    merged: int
    engines: int
    devices: int
    memory: int
    busiest: float

    @property
    def shared(self) -> int:
        """How many domains share a base."""
        return self.domains - self.merged


def plan(figures: Figures, traffic: Sequence[float], merged: int) -> Plan:
    """Return the plan that merges the `merged` busiest domains of these traffics, in tokens/s.

    One merged model must fit on a device, and one adapter beside the base if any domain shares.
    """
    falling = sorted(traffic, reverse=True)
    engines: list[Engine] = []
    for one in falling[:merged]:
        engines += _engines(figures, figures.engine_bytes, figures.busy(one, merged=True))

    shared = falling[merged:]
    if shared:
        size = figures.engine_bytes + figures.slots(len(shared)) * figures.adapter
        engines += _engines(figures, size, figures.busy(sum(shared), merged=False))

    loads = place(engines, figures.device_bytes, figures.highest_load)
    return Plan(
        domains=len(traffic),
        merged=merged,
        engines=len(engines),
        devices=len(loads),
        memory=sum(engine.size for engine in engines),
        busiest=max(loads, default=0.0),
    )


def best_plan(figures: Figures, traffic: Sequence[float]) -> Plan:
    """Return the plan with the fewest devices.

    Where several have as few, all merged is best: it is the simplest, and nothing slows it down.
    All shared comes next, and then as few merged domains as do it.
    """
    count = len(traffic)
    merged_alone = [plan(figures, traffic, count)]
    # One domain that shares with nobody would be merged at a lower speed.
    others = [plan(figures, traffic, merged) for merged in range(count - 1)]
    return min([*merged_alone, *others], key=lambda one: one.devices)


def crossing(figures: Figures, traffic: float, most: int) -> int | None:
    """Return the number of domains from which sharing takes fewer devices, up to `most`.

    Every domain has the same `traffic`. None if merging takes as few at `most`.
    """
    found = None
    for domains in range(1, most + 1):
        each = [traffic] * domains
        fewer = plan(figures, each, 0).devices < plan(figures, each, domains).devices
        found = (found or domains) if fewer else None
    return found


def place(engines: Sequence[Engine], size: int, highest_load: float) -> list[float]:
    """Return the load of each device that the engines need, put there by first fit."""
    free: list[int] = []
    loads: list[float] = []
    before, number = None, 0
    for engine in sorted(engines, key=lambda one: (one.size, one.busy), reverse=True):
        # Where the last one did not fit, an equal one does not fit either.
        first = number if engine == before else 0
        before = engine
        fits = (
            number
            for number in range(first, len(free))
            if free[number] >= engine.size and loads[number] + engine.busy <= highest_load + 1e-9
        )
        number = next(fits, len(free))
        if number == len(free):
            free.append(size)
            loads.append(0.0)
        free[number] -= engine.size
        loads[number] += engine.busy
    return loads


def _engines(figures: Figures, size: int, busy: float) -> list[Engine]:
    """Return as many equal engines as carry a load."""
    count = max(1, math.ceil(busy / figures.highest_load - 1e-9))
    return [Engine(size, busy / count)] * count
