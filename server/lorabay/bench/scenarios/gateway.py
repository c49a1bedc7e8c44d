"""Scenario `gateway`: our server against vLLM's own, on the same engine options, adapters and
plugin.

Both servers stay up for the whole invocation and take turns; the report shows what the waiting one
used meanwhile. Bars: the output tokens/s of ours over vLLM's, and how much later ours answers after
its start.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from lorabay.bench.alternation import Comparison, Turn, alternate, figures, ratios
from lorabay.bench.commands import LORABAY, VLLM
from lorabay.bench.load_generator import measure, warm_up
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.resources import read_cpu_time, wait_idle
from lorabay.bench.scenarios.start import compare_starts
from lorabay.bench.servers import launch_both, started, warm_file_cache
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch, ReadyServer
    from lorabay.bench.settings import BenchSettings

ROUNDS = 5
RATIO_BAR = 0.97


def gateway(settings: BenchSettings, progress: Progress) -> Findings:
    """Compare runs and start times of both servers with their bars."""
    base, _ = settings.need_started()
    rounds = settings.rounds or ROUNDS
    progress.plan(3 + len(settings.concurrency) * 2 * (1 + rounds))

    progress.step("reading both servers' files")
    warm_file_cache(base)
    return take_turns(launch_both(settings), rounds, settings, progress)


def take_turns(
    launches: Mapping[str, Launch], rounds: int, settings: BenchSettings, progress: Progress
) -> Findings:
    """Start all servers, alternate at each concurrency, and compare.

    Raises SetupError if a server fails a warm-up or a whole turn, or serves other adapters.
    """
    servers: list[ReadyServer] = []
    turns: list[Turn[Run]] = []

    with ExitStack() as stack:
        for name, launch in launches.items():
            progress.step(f"starting {name}")
            servers.append(stack.enter_context(started(name, launch, settings)))
        # An adapter that one side lacks would make the work unequal.
        _check_same_adapters(servers)

        for streams in settings.concurrency:
            for server in servers:
                progress.step(f"warming up {server.name}, {streams} streams")
                _warm_up(server, streams, settings)

            sides = {
                server.name: _side(server, servers, streams, settings, progress)
                for server in servers
            }
            turns += alternate(sides, rounds)

    runs = tuple(turn.value for turn in turns)
    starts = tuple(Start(server.name, 0, server.start_s) for server in servers)
    return Findings(runs, starts, (*compare_speeds(turns), compare_starts(starts)))


def compare_speeds(turns: Sequence[Turn[Run]]) -> tuple[Comparison, ...]:
    """Return one ratio of output tokens/s for each concurrency."""
    by_streams: dict[int, list[Turn[Run]]] = {}
    for turn in turns:
        by_streams.setdefault(turn.value.concurrency, []).append(turn)

    comparisons: list[Comparison] = []
    for streams, those in by_streams.items():
        name = f"output tokens/s, {streams} streams, {LORABAY} / {VLLM}"
        speeds = figures(those, lambda run: run.stats.output_tokens_per_s)
        comparisons.append(Comparison(name, ratios(speeds, LORABAY, VLLM), "x", RATIO_BAR))
    return tuple(comparisons)


def _check_same_adapters(servers: Sequence[ReadyServer]) -> None:
    listed = {server.name: server.listing.adapters for server in servers}
    if len(set(listed.values())) > 1:
        lists = "; ".join(
            f"{name} serves {', '.join(adapters) or 'none'}" for name, adapters in listed.items()
        )
        raise SetupError(f"the servers do not serve the same adapters: {lists}")


def _warm_up(server: ReadyServer, streams: int, settings: BenchSettings) -> None:
    workload = settings.workload(server.listing.resolve(settings.models))
    warmed = warm_up(server.target, workload, streams, settings.request_timeout_s)
    if warmed.failures:
        raise SetupError(f"{server.name} fails at the warm-up: {next(iter(warmed.failures))}")


def _side(
    server: ReadyServer,
    servers: Sequence[ReadyServer],
    streams: int,
    settings: BenchSettings,
    progress: Progress,
) -> Callable[[int], Run]:
    """Return the turn of one server, while the others wait."""
    workload = settings.workload(server.listing.resolve(settings.models))
    waiting = [other.group for other in servers if other is not server]

    def take(number: int) -> Run:
        progress.step(f"{server.name}, {streams} streams, round {number + 1}")
        # Both must rest: this one from its last turn, the other from its own.
        wait_idle([server.group, *waiting])

        before = read_cpu_time(server.group, waiting)
        run = measure(server.name, server.target, workload, streams, number, settings)
        used = read_cpu_time(server.group, waiting).since(before)

        # A few failures stay in the report and fail it; a turn without answers has no speed.
        if not run.stats.answers:
            reason = next(iter(run.stats.failures))
            raise SetupError(f"{server.name} failed every request of a turn: {reason}")
        return replace(
            run,
            server_cpu_s=used.working,
            idle_cpu_share=used.waiting / run.stats.seconds,
            foreign_cpu_share=used.foreign / run.stats.seconds,
        )

    return take
