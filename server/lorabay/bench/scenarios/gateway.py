"""Scenario `gateway`: what our server adds to vLLM's own, on the same engine options, adapters and
plugin.

Both servers stay up for the whole invocation and take turns; the one that waits is checked to be
idle. Bars: the output tokens/s of ours over vLLM's, and how much later ours answers after its
start.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from lorabay.bench.alternation import Comparison, Turn, alternate, ratios
from lorabay.bench.commands import LORABAY, VLLM
from lorabay.bench.cpu_time import read_cpu_time, wait_idle
from lorabay.bench.measurement import measure, warm_up, workload_for
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.servers import launch_both, started, warm_file_cache
from lorabay.bench.start_times import compare_starts
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lorabay.bench.cpu_time import CpuTime
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch, Started
    from lorabay.bench.settings import BenchSettings

ROUNDS = 5
RATIO_BAR = 0.97


def gateway(settings: BenchSettings, progress: Progress) -> Findings:
    """Both servers' runs and start times against their bars."""
    base, _ = settings.need_started()
    rounds = settings.rounds or ROUNDS
    progress.plan(3 + len(settings.concurrency) * 2 * (1 + rounds))
    progress.step("reading both servers' files")
    warm_file_cache(base)
    return take_turns(launch_both(settings), rounds, settings, progress)


def take_turns(
    launches: Mapping[str, Launch], rounds: int, settings: BenchSettings, progress: Progress
) -> Findings:
    """Start all, alternate at each concurrency, compare. SetupError when one fails a warm-up or a
    whole turn.
    """
    with ExitStack() as stack:
        servers: list[Started] = []
        for name, launch in launches.items():
            progress.step(f"starting {name}")
            servers.append(stack.enter_context(started(name, launch, settings)))
        _check_same_adapters(servers)
        turns = [
            turn
            for streams in settings.concurrency
            for turn in _turns(servers, streams, rounds, settings, progress)
        ]
    starts = tuple(Start(server.name, 0, server.start_s) for server in servers)
    bars = (*compare_speeds(turns), compare_starts(starts))
    return Findings(tuple(turn.value for turn in turns), starts, bars)


def compare_speeds(turns: Sequence[Turn[Run]]) -> tuple[Comparison, ...]:
    """One ratio of output tokens/s for each concurrency."""
    speeds: dict[int, list[Turn[float]]] = {}
    for turn in turns:
        speed = Turn(turn.side, turn.round, turn.seconds, turn.value.stats.output_tokens_per_s)
        speeds.setdefault(turn.value.concurrency, []).append(speed)
    return tuple(
        Comparison(
            f"output tokens/s, {streams} streams, {LORABAY} / {VLLM}",
            ratios(of, LORABAY, VLLM),
            "x",
            RATIO_BAR,
        )
        for streams, of in speeds.items()
    )


def _check_same_adapters(servers: list[Started]) -> None:
    listed = {server.name: server.listing.adapters for server in servers}
    if len(set(listed.values())) > 1:
        lists = "; ".join(
            f"{name} serves {', '.join(adapters) or 'none'}" for name, adapters in listed.items()
        )
        raise SetupError(f"the servers do not serve the same adapters: {lists}")


def _turns(
    servers: list[Started], streams: int, rounds: int, settings: BenchSettings, progress: Progress
) -> tuple[Turn[Run], ...]:
    for server in servers:
        progress.step(f"warming up {server.name}, {streams} streams")
        workload = workload_for(settings, server.listing)
        warmed = warm_up(server.target, workload, streams, settings.request_timeout_s)
        if warmed.failures:
            raise SetupError(f"{server.name} fails at the warm-up: {next(iter(warmed.failures))}")
    return alternate(
        {server.name: _take(server, servers, streams, settings, progress) for server in servers},
        rounds,
    )


def _take(
    server: Started,
    servers: list[Started],
    streams: int,
    settings: BenchSettings,
    progress: Progress,
) -> Callable[[int], Run]:
    workload = workload_for(settings, server.listing)
    waiting = [other.group for other in servers if other is not server]

    def take(number: int) -> Run:
        progress.step(f"{server.name}, {streams} streams, round {number + 1}")
        wait_idle([server.group, *waiting])
        before = read_cpu_time(server.group, waiting)
        run = measure(server.target, workload, streams, number, settings)
        after = read_cpu_time(server.group, waiting)
        if not run.stats.answers:
            raise SetupError(
                f"{server.name} failed every request of a turn: {next(iter(run.stats.failures))}"
            )
        measured = Run(server.name, number, streams, run.stats, run.client_cpu_s)
        return (
            measured
            if before is None or after is None
            else _with_cpu(measured, after.since(before))
        )

    return take


def _with_cpu(run: Run, used: CpuTime) -> Run:
    seconds = run.stats.seconds
    return replace(
        run,
        server_cpu_s=used.working,
        idle_cpu_share=used.waiting / seconds,
        foreign_cpu_share=used.foreign / seconds,
    )
