"""Scenario `load`: one server, running (`url`) or started here, driven at each concurrency."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.bench.commands import LORABAY
from lorabay.bench.load_generator import Target, measure, warm_up
from lorabay.bench.readiness import list_models
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.servers import launch_lorabay, started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.bench.progress import Progress
    from lorabay.bench.readiness import Listing
    from lorabay.bench.settings import BenchSettings

ROUNDS = 1


@dataclass(frozen=True, slots=True)
class Served:
    """The server to drive, whoever started it; `starts` is empty if it ran already."""

    side: str
    target: Target
    listing: Listing
    starts: tuple[Start, ...] = ()


def load(settings: BenchSettings, progress: Progress) -> Findings:
    """Drive one server; no figure has a bar, and failing requests are counted, not raised."""
    rounds = settings.rounds or ROUNDS
    progress.plan(1 + len(settings.concurrency) * (1 + rounds))
    progress.step("connecting" if settings.url else "starting the server")

    runs: list[Run] = []
    with _served(settings) as server:
        workload = settings.workload(server.listing.resolve(settings.models))

        for streams in settings.concurrency:
            progress.step(f"warming up, {streams} streams")
            warm_up(server.target, workload, streams, settings.request_timeout_s)

            for number in range(rounds):
                progress.step(f"{streams} streams, round {number + 1}")
                runs.append(
                    measure(server.side, server.target, workload, streams, number, settings)
                )

    return Findings(runs=tuple(runs), starts=server.starts)


@contextmanager
def _served(settings: BenchSettings) -> Iterator[Served]:
    if settings.url is not None:
        target = Target(settings.url.rstrip("/").removesuffix("/v1"), settings.api_key)
        yield Served(target.url, target, list_models(target, settings.request_timeout_s))
        return

    with started(LORABAY, launch_lorabay(settings), settings) as server:
        start = Start(LORABAY, 0, server.start_s)
        yield Served(LORABAY, server.target, server.listing, (start,))
