"""The traces: who asks for which adapter, when and how long, in shapes that were published.

Adapters are numbered by how popular they are. Rates are set so that the cluster's windows are
filled to a part. The shapes are those of the papers and of Azure, the requests are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lorabay.cluster.simulation.trace import Indices, Numbers, Trace

LOAD_S = 0.05
"""Seconds that an adapter of rank 16 takes to load."""
_MEAN_TAKES_S = 4.0
"""Seconds that an answer takes: 200 tokens of 20 ms."""
_TURNS = 8
"""Requests of one conversation, on average."""
_PAUSE_S = 20.0
"""Seconds between an answer and the next question, on average."""


@dataclass(frozen=True, slots=True)
class Size:
    """How long a trace is, of how many adapters, and what it asks of a cluster.

    `at_once` are the requests that are computed at a time, on average.
    """

    requests: int
    adapters: int
    at_once: float
    seed: int = 0

    @property
    def seconds(self) -> float:
        """How long it takes for so many requests."""
        return self.requests * _MEAN_TAKES_S / self.at_once


def zipf(size: Size) -> Trace:
    """Return independent requests: popularity by Zipf with exponent 1, Poisson arrivals."""
    random = np.random.default_rng(size.seed)
    adapter = _popular(random, size.adapters, 1.0, size.requests)
    at_s = np.sort(random.uniform(0, size.seconds, size.requests))
    return _trace("zipf", size, at_s, adapter, _takes(random, size.requests))


def bursts(size: Size) -> Trace:
    """Return conversations: popularity by Zipf, and each comes with its next turns, in bursts.

    Every tenth conversation belongs to a crowd: ten minutes in which one rare adapter is wanted.
    """
    random = np.random.default_rng(size.seed)
    count = max(1, size.requests // _TURNS)
    adapter = _popular(random, size.adapters, 1.0, count)
    begins = random.uniform(0, size.seconds, count)

    in_crowd = random.random(count) < 0.1
    crowds = max(1, count // 1000)
    crowd = random.integers(crowds, size=count)
    crowd_begins = random.uniform(0, size.seconds, crowds)
    crowd_adapter = random.integers(size.adapters // 2, size.adapters, crowds)
    adapter = np.where(in_crowd, crowd_adapter[crowd], adapter)
    begins = np.where(in_crowd, crowd_begins[crowd] + random.uniform(0, 600, count), begins)
    return _conversations("bursts", size, random, begins, adapter)


def s_lora(size: Size) -> Trace:
    """Return S-LoRA's synthetic shape: rates by a power law, Gamma gaps for each adapter.

    Its defaults: exponent 1, coefficient of variation 1, answers of 8 to 512 tokens (MLSys 2024).
    """
    random = np.random.default_rng(size.seed)
    at_s, adapter = _gamma(random, size, exponent=1.0, variation=1.0)
    takes_s = random.uniform(8, 512, len(at_s)) * _MEAN_TAKES_S / 260
    return _trace("S-LoRA", size, at_s, adapter, takes_s)


def dlora(size: Size) -> Trace:
    """Return dLoRA's shape: Azure's functions stand for adapters, skewed and bursty (OSDI 2024).

    The trace of 2021 is drawn by its shape: exponent 1.2 and Gamma gaps with variation 4.
    """
    random = np.random.default_rng(size.seed)
    at_s, adapter = _gamma(random, size, exponent=1.2, variation=4.0)
    return _trace("dLoRA", size, at_s, adapter, _takes(random, len(at_s)))


def chameleon(size: Size) -> Trace:
    """Return Chameleon's shape: five ranks, equally often; a power law inside each (MICRO 2025).

    Ranks are 8 to 128, and an adapter of twice the rank takes twice as long to load.
    """
    random = np.random.default_rng(size.seed)
    ranks = 5
    inside = _popular(random, max(1, size.adapters // ranks), 1.0, size.requests)
    rank = random.integers(ranks, size=size.requests)
    adapter = np.minimum(inside * ranks + rank, size.adapters - 1)
    at_s = _azure_times(random, size)

    doublings = np.arange(size.adapters, dtype=np.float64) % ranks - 1
    load_s = LOAD_S * np.exp2(doublings)
    takes_s = _takes(random, size.requests)
    return Trace("Chameleon", size.adapters, at_s, adapter, _alone(at_s), takes_s, load_s)


def azure(size: Size) -> Trace:
    """Return conversations that begin as requests come to Azure's language models.

    That is by day and night, and in gusts of minutes; popularity by Zipf with exponent 1.
    """
    random = np.random.default_rng(size.seed)
    count = max(1, size.requests // _TURNS)
    begins = _azure_times(random, Size(count, size.adapters, size.at_once / _TURNS, size.seed))
    adapter = _popular(random, size.adapters, 1.0, count)
    return _conversations("Azure", size, random, begins, adapter)


TRACES: Mapping[str, Callable[[Size], Trace]] = {
    "zipf": zipf,
    "bursts": bursts,
    "S-LoRA": s_lora,
    "dLoRA": dlora,
    "Chameleon": chameleon,
    "Azure": azure,
}
"""Every trace by its name, in the order in which they are shown."""


def _popular(random: np.random.Generator, adapters: int, exponent: float, count: int) -> Indices:
    """Return adapters as they are asked for: the n-th with a frequency of n to minus `exponent`."""
    weights = np.arange(1, adapters + 1, dtype=np.float64) ** -exponent
    return random.choice(adapters, size=count, p=weights / weights.sum())


def _takes(random: np.random.Generator, count: int) -> Numbers:
    """Return how long answers take: mostly short, some long, as in logs of chats."""
    sigma = 0.8
    mean = np.log(_MEAN_TAKES_S) - sigma**2 / 2
    return random.lognormal(mean, sigma, count)


def _gamma(
    random: np.random.Generator, size: Size, exponent: float, variation: float
) -> tuple[Numbers, Indices]:
    """Return times and adapters, where each adapter has a rate and Gamma-distributed gaps."""
    weights = np.arange(1, size.adapters + 1, dtype=np.float64) ** -exponent
    counts = random.multinomial(size.requests, weights / weights.sum())

    shape = 1 / variation**2
    times = [
        _spread(random.gamma(shape, 1.0, count + 1), size.seconds) for count in counts.tolist()
    ]
    at_s = np.concatenate(times)
    adapter = np.repeat(np.arange(size.adapters), counts)
    order = np.argsort(at_s, kind="stable")
    return at_s[order], adapter[order]


def _spread(gaps: Numbers, seconds: float) -> Numbers:
    """Return the times after all gaps but the last, which ends with the trace."""
    times: Numbers = np.cumsum(gaps)[:-1] * (seconds / gaps.sum())
    return times


def _azure_times(random: np.random.Generator, size: Size) -> Numbers:
    """Return times of arrival: a day's wave, and a rate that changes by the minute."""
    minutes = max(2, int(size.seconds / 60) + 1)
    day = 1 + 0.5 * np.sin(2 * np.pi * np.arange(minutes) / minutes)
    gusts = random.gamma(4.0, 1 / 4.0, minutes)
    counts = random.multinomial(size.requests, day * gusts / (day * gusts).sum())

    minute = np.repeat(np.arange(minutes), counts)
    within = random.uniform(0, 1, size.requests)
    return np.sort((minute + within) * size.seconds / minutes)


def _conversations(
    name: str, size: Size, random: np.random.Generator, begins: Numbers, adapter: Indices
) -> Trace:
    """Return conversations as requests: each turn follows the one before after a pause."""
    turns = random.geometric(1 / _TURNS, len(begins))
    session = np.repeat(np.arange(len(begins)), turns)
    takes_s = _takes(random, len(session))
    steps = takes_s + random.exponential(_PAUSE_S, len(session))

    # The time in each conversation starts anew with its first turn.
    firsts = np.cumsum(turns) - turns
    passed = np.cumsum(steps) - steps
    at_s = begins[session] + passed - np.repeat(passed[firsts], turns)

    order = np.argsort(at_s, kind="stable")
    load_s = np.full(size.adapters, LOAD_S)
    return Trace(
        name,
        size.adapters,
        at_s[order],
        adapter[session][order],
        session[order],
        takes_s[order],
        load_s,
    )


def _trace(name: str, size: Size, at_s: Numbers, adapter: Indices, takes_s: Numbers) -> Trace:
    """Return a trace of requests that have nothing to do with one another."""
    load_s = np.full(size.adapters, LOAD_S)
    return Trace(name, size.adapters, at_s, adapter, _alone(at_s), takes_s, load_s)


def _alone(at_s: Numbers) -> Indices:
    """Return a conversation of its own for each request."""
    return np.arange(len(at_s))
