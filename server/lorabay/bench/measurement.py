"""One run against one ready server: build the requests, drive them, sum up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.bench.load_generator import drive
from lorabay.bench.stats import summarise
from lorabay.bench.workload import Workload, request_bodies

if TYPE_CHECKING:
    from lorabay.bench.load_generator import Drive, Target
    from lorabay.bench.readiness import Listing
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.stats import RunStats

WARM_UP_TOKENS = 4
WARM_UP_SEED = -1


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of a run and what its client cost."""

    stats: RunStats
    client_cpu_s: float


def workload_for(settings: BenchSettings, listing: Listing) -> Workload:
    """The settings' workload, with the models as this server names them."""
    models = listing.resolve(settings.models)
    return Workload(models, settings.prompt_tokens, settings.output_tokens, settings.endpoint)


def measure(
    target: Target, workload: Workload, concurrency: int, number: int, settings: BenchSettings
) -> Measured:
    """Round `number`: its requests are new to the server and the same for every server."""
    count = settings.requests or concurrency
    driven = _drive(target, workload, concurrency, count, number, settings.request_timeout_s)
    return Measured(summarise(driven.outcomes, driven.seconds), driven.client_cpu_s)


def warm_up(target: Target, workload: Workload, concurrency: int, timeout_s: float) -> RunStats:
    """A few tokens of every model at the coming concurrency; not part of any figure."""
    short = replace(workload, output_tokens=WARM_UP_TOKENS)
    count = max(concurrency, len(workload.models))
    driven = _drive(target, short, concurrency, count, WARM_UP_SEED, timeout_s)
    return summarise(driven.outcomes, driven.seconds)


def _drive(
    target: Target, workload: Workload, concurrency: int, count: int, seed: int, timeout_s: float
) -> Drive:
    # A seed of both numbers: a prompt of one concurrency must not come again at another, out of a
    # prefix cache.
    bodies = request_bodies(workload, count, seed * 1_000_003 + concurrency)
    return asyncio.run(
        drive(
            target,
            workload.path,
            bodies,
            concurrency=concurrency,
            output_tokens=workload.output_tokens,
            timeout_s=timeout_s,
        )
    )
