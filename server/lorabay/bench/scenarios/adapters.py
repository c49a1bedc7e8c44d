"""Scenario `adapters`: what adapters cost. The bare base, compiled and without LoRA, is vLLM's own
server.

All servers stay up and take turns. Most cases compare our server with the bare base at the same
number of streams; two compare it with itself (many adapters with few, DoRA with LoRA). Stock vLLM,
the same install without our plugin, is measured in two of the cases, without a bar.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, Turn, alternate, ratios
from lorabay.bench.commands import LORABAY, bare_command, lorabay_command, vllm_command
from lorabay.bench.cpu_time import wait_idle
from lorabay.bench.measurement import measure, warm_up
from lorabay.bench.readiness import BASE
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.servers import Launch, Started, started, warm_file_cache
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.workload import Workload
from lorabay.bench.zipf import draw_names
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.stats import RunStats

ROUNDS = 7
RANK = 16
COUNT = 16
SLOTS = 8
EVERY_MODULE = 1 << 62
"""A size that takes all linear modules."""
BARE, STOCK = "bare base", "stock vLLM"
NO_PLUGIN = {"VLLM_PLUGINS": ""}
NAMES = tuple(f"lora-{number:02}" for number in range(COUNT))
DORA = "dora"
ENGINE = {"max_loras": str(SLOTS), "max_cpu_loras": str(COUNT + 4), "max_lora_rank": str(RANK)}

Figure = Callable[["RunStats"], float]
"""What of a run is compared; more is better."""


def speed(stats: RunStats) -> float:
    """Output tokens a second."""
    return stats.output_tokens_per_s


def promptness(stats: RunStats) -> float:
    """First tokens a second: the inverse of the median time to the first token."""
    return 1_000 / stats.first_token.p50_ms if stats.first_token.p50_ms else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """Which server is asked for which models, in turn."""

    name: str
    server: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """The first side over the second must reach `bar`, round by round; further sides are shown,
    after one turn.
    """

    name: str
    streams: int
    sides: tuple[Side, ...]
    bar: float
    figure: Figure = speed
    prompt_tokens: int = 32
    output_tokens: int = 128
    per_stream: int = 1


def cases(zipf: tuple[str, ...]) -> tuple[Case, ...]:
    """What is measured; `zipf` are names of all adapters as popularity draws them."""

    def bare(*models: str) -> tuple[Side, Side]:
        return Side(LORABAY, LORABAY, models), Side(BARE, BARE, (BASE,))

    four, eight = NAMES[:4], NAMES[:8]
    stock = Side(STOCK, STOCK, four)
    return (
        Case("decode, 1 stream, 1 adapter", 1, bare(NAMES[0]), 0.75, per_stream=2),
        Case("decode, 8 streams, 4 adapters", 8, (*bare(*four), stock), 0.75),
        Case("decode, 32 streams, 8 adapters and base", 32, bare(*eight, BASE), 0.75),
        Case(
            "first token, 4 prompts of 512, 4 adapters",
            4,
            (*bare(*four), stock),
            0.85,
            promptness,
            512,
            1,
            4,
        ),
        Case(
            f"decode, 8 streams, {COUNT} adapters by popularity over {SLOTS} slots",
            8,
            (Side(f"{COUNT} adapters", LORABAY, zipf), Side("4 adapters", LORABAY, four)),
            0.80,
            per_stream=2,
        ),
        Case(
            "decode, 8 streams, DoRA over LoRA of its rank",
            8,
            (Side("DoRA", LORABAY, (DORA,)), Side("LoRA", LORABAY, (NAMES[0],))),
            0.90,
        ),
    )


def adapters(settings: BenchSettings, progress: Progress) -> Findings:
    """All cases, on servers started here over adapters made for it."""
    base_folder = settings.need_base()
    base, engine = str(base_folder), ENGINE | dict(settings.engine)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        kind = RandomAdapters.about(BaseShapes.read(base_folder), RANK, EVERY_MODULE)
        for number, name in enumerate(NAMES):
            kind.write(root / "ours" / name, number)
        for number, name in enumerate(NAMES[:4]):
            kind.write(root / "stock" / name, number)
        replace(kind, dora=True).write(root / "ours" / DORA, COUNT)
        flags = {"store": str(root / "store")}
        servers: dict[str, tuple[Launch, Mapping[str, str]]] = {
            BARE: (lambda port: bare_command(base, settings.engine, port), {}),
            LORABAY: (lambda port: lorabay_command(base, root / "ours", engine, port, flags), {}),
            STOCK: (lambda port: vllm_command(base, root / "stock", engine, port), NO_PLUGIN),
        }
        warm_file_cache(base)
        return take_turns(servers, cases(draw_names(NAMES, 64, 0)), settings, progress)


def take_turns(
    servers: Mapping[str, tuple[Launch, Mapping[str, str]]],
    wanted: tuple[Case, ...],
    settings: BenchSettings,
    progress: Progress,
) -> Findings:
    """Start every server (launch, environment), then measure case by case."""
    rounds = settings.rounds or ROUNDS
    progress.plan(len(servers) + sum(2 * rounds + len(case.sides) - 2 for case in wanted))
    with ExitStack() as stack:
        up: dict[str, Started] = {}
        for name, (launch, env) in servers.items():
            progress.step(f"starting {name}")
            its = replace(settings, env=dict(settings.env) | dict(env))
            up[name] = stack.enter_context(started(name, launch, its))
        measured = {case: _measure(case, up, rounds, settings, progress) for case in wanted}
    runs = tuple(turn.value for turns in measured.values() for turn in turns)
    starts = tuple(Start(name, 0, server.start_s) for name, server in up.items())
    comparisons = tuple(
        comparison for case, turns in measured.items() for comparison in _compare(case, turns)
    )
    return Findings(runs, starts, comparisons)


def _measure(
    case: Case, up: Mapping[str, Started], rounds: int, settings: BenchSettings, progress: Progress
) -> tuple[Turn[Run], ...]:
    asked = replace(settings, requests=case.streams * case.per_stream)

    def taking(side: Side) -> Callable[[int], Run]:
        server = up[side.server]
        models = server.listing.resolve(side.models)
        workload = Workload(models, case.prompt_tokens, case.output_tokens)
        warm_up(server.target, workload, case.streams, settings.request_timeout_s)

        def take(number: int) -> Run:
            progress.step(f"{case.name}: {side.name}, round {number + 1}")
            wait_idle([other.group for other in up.values()])
            run = measure(server.target, workload, case.streams, number, asked)
            if run.stats.failures or not run.stats.answers:
                raise SetupError(
                    f"{side.name} failed in {case.name!r}: {next(iter(run.stats.failures), 'no answer')}"
                )
            return Run(
                f"{case.name}: {side.name}", number, case.streams, run.stats, run.client_cpu_s
            )

        return take

    compared, shown = case.sides[:2], case.sides[2:]
    turns = alternate({side.name: taking(side) for side in compared}, rounds)
    # Stock vLLM needs minutes for what the others do in seconds: one turn of it says enough.
    return turns + alternate({side.name: taking(side) for side in shown}, 1)


def _compare(case: Case, turns: tuple[Turn[Run], ...]) -> tuple[Comparison, ...]:
    """The first side over the second against the bar; the others over the second, with a bar that
    all reach.
    """
    figures = [
        Turn(turn.side, turn.round, turn.seconds, case.figure(turn.value.stats)) for turn in turns
    ]
    first, reference, *others = (side.name for side in case.sides)
    return (
        Comparison(
            f"{case.name}: {first} / {reference}", ratios(figures, first, reference), "x", case.bar
        ),
        *(
            Comparison(
                f"{case.name}: {other} / {reference}", ratios(figures, other, reference), "x", 0.0
            )
            for other in others
        ),
    )
