"""Scenario `start`: seconds from spawn to the first answer, ours and vLLM's own, alternating, one
server at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.bench.alternation import alternate
from lorabay.bench.report import Findings, Start
from lorabay.bench.servers import launch_both, started, warm_file_cache
from lorabay.bench.start_times import compare_starts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3


def start(settings: BenchSettings, progress: Progress) -> Findings:
    """Both servers' start times and their difference."""
    base, _ = settings.need_started()
    rounds = settings.rounds or ROUNDS
    progress.plan(1 + 2 * rounds)
    progress.step("reading both servers' files")
    warm_file_cache(base)
    starts = take_turns(launch_both(settings), rounds, settings, progress)
    return Findings(starts=starts, comparisons=(compare_starts(starts),))


def take_turns(
    launches: Mapping[str, Launch], rounds: int, settings: BenchSettings, progress: Progress
) -> tuple[Start, ...]:
    """Start and stop each server once a round."""
    turns = alternate(
        {name: _take(name, launch, settings, progress) for name, launch in launches.items()}, rounds
    )
    return tuple(turn.value for turn in turns)


def _take(
    name: str, launch: Launch, settings: BenchSettings, progress: Progress
) -> Callable[[int], Start]:
    def take(number: int) -> Start:
        progress.step(f"starting {name}, round {number + 1}")
        with started(name, launch, settings) as server:
            return Start(name, number, server.start_s)

    return take
