"""Scenario `adapters`: the cost of adapters, against the bare base without LoRA on vLLM's own
server.

All servers stay up and take turns. Most cases compare our server with the bare base at the same
number of streams, in the number format that our server chooses; two compare it with itself (many
adapters with few, DoRA with LoRA). Stock vLLM, the same install without our plugin, is measured in
two of the cases, without a bar. Where that format is not vLLM's own choice, the bare base is also
measured as vLLM comes: without our plugin, in the format and on the threads of its choice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, Turn, alternate, figures, ratios
from lorabay.bench.commands import LORABAY, bare_command, lorabay_command, vllm_command
from lorabay.bench.load_generator import measure, warm_up
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.resources import wait_idle
from lorabay.bench.servers import Launch, ReadyServer, started, warm_file_cache
from lorabay.bench.settings import BASE
from lorabay.bench.synthetic_adapters import EVERY_MODULE, RandomAdapters, draw_names
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError
from lorabay.files.host_memory import host_memory_bytes
from lorabay.serving.compute_type import choose_compute_type, processor_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings
    from lorabay.bench.stats import RunStats

ROUNDS = 7
RANK = 16
COUNT = 16
SLOTS = 8
BARE, STOCK = "bare base", "stock vLLM"
AS_IT_COMES = "bare base as vLLM comes"
NO_PLUGIN = {"VLLM_PLUGINS": ""}
OWN_THREADS = {"VLLM_CPU_OMP_THREADS_BIND": "auto"}
NAMES = tuple(f"lora-{number:02}" for number in range(COUNT))
DORA = "dora"
ENGINE = {"max_loras": str(SLOTS), "max_cpu_loras": str(COUNT + 4), "max_lora_rank": str(RANK)}

Figure = Callable[["RunStats"], float]
"""The figure of a run that is compared; more is better."""


def speed(stats: RunStats) -> float:
    """Return output tokens a second."""
    return stats.output_tokens_per_s


def promptness(stats: RunStats) -> float:
    """Return first tokens a second: the inverse of the median time to the first token."""
    return 1_000 / stats.first_token.p50_ms if stats.first_token.p50_ms else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a case: the server that is asked, and the models that it is asked for in turn."""

    name: str
    server: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison: the first side over the second must reach `bar`, round by round.

    Further sides are shown beside them, after one turn.
    """

    name: str
    streams: int
    sides: tuple[Side, ...]
    bar: float
    figure: Figure = speed
    prompt_tokens: int = 32
    output_tokens: int = 128
    per_stream: int = 1
    """Requests of each stream in one turn."""
    over_as_it_comes: float | None = None
    """The bar of the first side over the bare base as vLLM comes; None where that is left out."""

    def with_base_as_it_comes(self) -> Case:
        """Return the case with the bare base as vLLM comes beside it, if it has a bar for that."""
        if self.over_as_it_comes is None:
            return self
        return replace(self, sides=(*self.sides, Side(AS_IT_COMES, AS_IT_COMES, (BASE,))))


def cases(popular: tuple[str, ...]) -> tuple[Case, ...]:
    """Return all comparisons; `popular` are names of all adapters as popularity draws them."""
    four, eight = NAMES[:4], NAMES[:8]
    bare = Side(BARE, BARE, (BASE,))
    stock = Side(STOCK, STOCK, four)

    def ours(*models: str, name: str = LORABAY) -> Side:
        return Side(name, LORABAY, models)

    return (
        Case("decode, 1 stream, 1 adapter", 1, (ours(NAMES[0]), bare), 0.85, per_stream=2),
        Case(
            "decode, 8 streams, 4 adapters",
            8,
            (ours(*four), bare, stock),
            0.85,
            over_as_it_comes=4.0,
        ),
        Case(
            "decode, 32 streams, 8 adapters and base",
            32,
            (ours(*eight, BASE), bare),
            0.85,
            over_as_it_comes=5.0,
        ),
        Case(
            "first token, 4 prompts of 512, 4 adapters",
            4,
            (ours(*four), bare, stock),
            0.90,
            figure=promptness,
            prompt_tokens=512,
            output_tokens=1,
            per_stream=4,
            over_as_it_comes=6.0,
        ),
        Case(
            f"decode, 8 streams, {COUNT} adapters by popularity over {SLOTS} slots",
            8,
            (ours(*popular, name=f"{COUNT} adapters"), ours(*four, name="4 adapters")),
            0.85,
            per_stream=2,
        ),
        Case(
            "decode, 8 streams, DoRA over LoRA of its rank",
            8,
            (ours(DORA, name="DoRA"), ours(NAMES[0], name="LoRA")),
            0.90,
        ),
    )


def adapters(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure all cases on servers started here over adapters made for them."""
    base_folder = settings.need_base()
    base = str(base_folder)
    own_type = {} if "dtype" in settings.engine else _own_type(base_folder)
    bare_engine = own_type | dict(settings.engine)
    engine = ENGINE | bare_engine

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        _make_adapters(root, BaseShapes.read(base_folder))
        flags = {"store": str(root / "store")}
        servers: dict[str, tuple[Launch, Mapping[str, str]]] = {
            BARE: (lambda port: bare_command(base, bare_engine, port), {}),
            LORABAY: (lambda port: lorabay_command(base, root / "ours", engine, port, flags), {}),
            STOCK: (lambda port: vllm_command(base, root / "stock", engine, port), NO_PLUGIN),
        }
        wanted = cases(draw_names(NAMES, 64, 0))
        if own_type:
            wanted = tuple(case.with_base_as_it_comes() for case in wanted)
            servers[AS_IT_COMES] = (
                lambda port: bare_command(base, settings.engine, port),
                NO_PLUGIN | OWN_THREADS,
            )

        warm_file_cache(base)
        return take_turns(servers, wanted, settings, progress)


def _own_type(base: Path) -> dict[str, str]:
    """Return the option of the number format that our server chooses; empty if it is vLLM's."""
    weights = BaseFiles.open(base).tensors.values()
    chosen = choose_compute_type(processor_features(), weights, host_memory_bytes())
    return {} if chosen.name is None else {"dtype": chosen.name}


def take_turns(
    servers: Mapping[str, tuple[Launch, Mapping[str, str]]],
    wanted: tuple[Case, ...],
    settings: BenchSettings,
    progress: Progress,
) -> Findings:
    """Start every server (launch, environment), then measure case by case."""
    rounds = settings.rounds or ROUNDS
    turns_in_all = sum(2 * rounds + len(case.sides) - 2 for case in wanted)
    progress.plan(len(servers) + turns_in_all)

    # All servers stay up: a case compares turns that are seconds apart.
    with ExitStack() as stack:
        up: dict[str, ReadyServer] = {}
        for name, (launch, env) in servers.items():
            progress.step(f"starting {name}")
            with_env = replace(settings, env=dict(settings.env) | dict(env))
            up[name] = stack.enter_context(started(name, launch, with_env))

        measured = {case: _measure(case, up, rounds, settings, progress) for case in wanted}

    runs: list[Run] = []
    comparisons: list[Comparison] = []
    for case, turns in measured.items():
        runs += (turn.value for turn in turns)
        comparisons += compare(case, turns)
    starts = tuple(Start(name, 0, server.start_s) for name, server in up.items())
    return Findings(tuple(runs), starts, tuple(comparisons))


def _make_adapters(root: Path, base: BaseShapes) -> None:
    """Make all adapters and the DoRA in folder `ours`, those of the stock side in `stock`."""
    kind = RandomAdapters.about(base, RANK, EVERY_MODULE)
    for number, name in enumerate(NAMES):
        kind.write(root / "ours" / name, number)
    for number, name in enumerate(NAMES[:4]):
        kind.write(root / "stock" / name, number)
    replace(kind, dora=True).write(root / "ours" / DORA, COUNT)


def _measure(
    case: Case,
    up: Mapping[str, ReadyServer],
    rounds: int,
    settings: BenchSettings,
    progress: Progress,
) -> tuple[Turn[Run], ...]:
    groups = tuple(server.group for server in up.values())
    players = [
        _Player(case, side, up[side.server], groups, settings, progress) for side in case.sides
    ]

    compared, shown = players[:2], players[2:]
    # Stock vLLM needs minutes for what the others do in seconds: one turn of it says enough.
    return _play(compared, rounds) + _play(shown, 1)


def _play(players: Sequence[_Player], rounds: int) -> tuple[Turn[Run], ...]:
    for player in players:
        player.warm_up()
    return alternate({player.side.name: player.take for player in players}, rounds)


@dataclass(frozen=True, slots=True)
class _Player:
    """One side of a case on its server; all servers of `groups` rest before each of its turns."""

    case: Case
    side: Side
    server: ReadyServer
    groups: tuple[int, ...]
    settings: BenchSettings
    progress: Progress

    @property
    def workload(self) -> Workload:
        models = self.server.listing.resolve(self.side.models)
        return Workload(models, self.case.prompt_tokens, self.case.output_tokens)

    def warm_up(self) -> None:
        """Ask every model before the first turn."""
        timeout_s = self.settings.request_timeout_s
        warm_up(self.server.target, self.workload, self.case.streams, timeout_s)

    def take(self, number: int) -> Run:
        """Take the turn of round `number`; raise SetupError if any request fails."""
        label = f"{self.case.name}: {self.side.name}"
        self.progress.step(f"{label}, round {number + 1}")
        wait_idle(self.groups)

        streams = self.case.streams
        settings = replace(self.settings, requests=streams * self.case.per_stream)
        run = measure(label, self.server.target, self.workload, streams, number, settings)

        # A ratio of half-failed runs would mean nothing.
        if run.stats.failures or not run.stats.answers:
            reason = next(iter(run.stats.failures), "no answer")
            raise SetupError(f"{self.side.name} failed in {self.case.name!r}: {reason}")
        return run


def compare(case: Case, turns: Sequence[Turn[Run]]) -> tuple[Comparison, ...]:
    """Return the first side over the second beside the bar, and the others over the second beside a
    bar that all reach; the first side over the bare base as vLLM comes, beside that bar.
    """
    values = figures(turns, lambda run: case.figure(run.stats))
    first, reference, *others = (side.name for side in case.sides)
    bars = {first: case.bar} | {name: 0.0 for name in others if name != AS_IT_COMES}
    comparisons = [
        Comparison(f"{case.name}: {side} / {reference}", ratios(values, side, reference), "x", bar)
        for side, bar in bars.items()
    ]

    if AS_IT_COMES in others and case.over_as_it_comes is not None:
        # That one has taken a single turn, the first.
        once = [turn for turn in values if turn.round == 0]
        name = f"{case.name}: {first} / {AS_IT_COMES}"
        times = ratios(once, first, AS_IT_COMES)
        comparisons.append(Comparison(name, times, "x", case.over_as_it_comes))
    return tuple(comparisons)
