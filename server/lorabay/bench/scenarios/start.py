"""Scenario `start`: seconds from spawn to the first answer, of our server and of vLLM's own.

The servers start and stop in turn, one at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.bench.alternation import Comparison, Turn, alternate, differences
from lorabay.bench.commands import LORABAY, VLLM
from lorabay.bench.report import Findings, Start
from lorabay.bench.servers import launch_both, started, warm_file_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
BAR_S = 5.0


def start(settings: BenchSettings, progress: Progress) -> Findings:
    """Start both servers in turn and compare their times."""
    base, _ = settings.need_started()
    rounds = settings.rounds or ROUNDS
    progress.plan(1 + 2 * rounds)

    # Otherwise the side that starts first would read for the other one.
    progress.step("reading both servers' files")
    warm_file_cache(base)

    starts = take_turns(launch_both(settings), rounds, settings, progress)
    return Findings(starts=starts, comparisons=(compare_starts(starts),))


def take_turns(
    launches: Mapping[str, Launch], rounds: int, settings: BenchSettings, progress: Progress
) -> tuple[Start, ...]:
    """Start and stop each server once a round."""

    def side(name: str, launch: Launch) -> Callable[[int], Start]:
        def take(number: int) -> Start:
            progress.step(f"starting {name}, round {number + 1}")
            with started(name, launch, settings) as server:
                return Start(name, number, server.start_s)

        return take

    sides = {name: side(name, launch) for name, launch in launches.items()}
    return tuple(turn.value for turn in alternate(sides, rounds))


def compare_starts(starts: Sequence[Start]) -> Comparison:
    """Return how many seconds later ours answers than vLLM's own, round by round."""
    turns = [Turn(start.side, start.round, start.seconds, start.seconds) for start in starts]
    later = differences(turns, LORABAY, VLLM)
    return Comparison(f"start, {LORABAY} - {VLLM}", later, "s", BAR_S, at_least=False)
