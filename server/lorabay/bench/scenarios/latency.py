"""Scenario `latency`: what the gateway adds to one request, where the model takes next to no time.

A llama of two layers and hidden size 64 answers, with one adapter. The same requests go to vLLM's
own server and to ours, in turns, over one connection and over 64. With `--litellm` they also go to
LiteLLM's proxy in front of vLLM's server, to compare what the two gateways add.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.alternation import Comparison, Turn, alternate, figures, ratios
from lorabay.bench.commands import HOST, LORABAY, VLLM, lorabay_command, vllm_command
from lorabay.bench.load_generator import measure, warm_up
from lorabay.bench.report import Findings, Run, Start
from lorabay.bench.resources import wait_idle
from lorabay.bench.servers import Launch, started, warm_file_cache
from lorabay.bench.synthetic_adapters import EVERY_MODULE, RandomAdapters
from lorabay.bench.synthetic_model import RandomLlama
from lorabay.bench.workload import Workload
from lorabay.errors import SetupError
from lorabay.files.side_files import TOKENIZER_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import ReadyServer
    from lorabay.bench.settings import BenchSettings

LITELLM = "LiteLLM"
LITELLM_KEY = "sk-of-the-bench"
"""Its proxy does not start without a key of the master's that is long enough."""

LITELLM_ENV = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
"""Prices come with the package: they are not fetched at the start."""

ROUNDS = 5
CONNECTIONS = (1, 64)
REQUESTS = {1: 200, 64: 1_280}
"""Requests of one turn, by the connections that they share."""

PROMPT_TOKENS, OUTPUT_TOKENS = 16, 4
RANK = 8
ADAPTER = "small"
VOCABULARY = 20_480
"""As many tokens as prompts of the bench are made of, and a few."""

MODEL = RandomLlama(64, 128, VOCABULARY, 2, heads=2, key_heads=2)
ENGINE = {"max_model_len": "256", "dtype": "float32"}

BAR = 1.2
"""Our p50 and p99 over vLLM's, at most."""

ADDED_BAR = 10.0
"""What LiteLLM adds over what we add, at least."""

LEAST_MS = 0.05
"""What counts as added at least: less than that is the noise of two medians."""


@dataclass(frozen=True, slots=True)
class Percentile:
    """One figure of the latencies of a turn's requests."""

    name: str

    def of(self, run: Run) -> float:
        """Return it in milliseconds; a turn without answers has raised before."""
        latency = run.stats.request
        value = latency.p50_ms if self.name == "p50" else latency.p99_ms
        return value or 0.0


P50, P99 = Percentile("p50"), Percentile("p99")


def latency(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure servers started here, over a model and an adapter made for them."""
    base = settings.need_base()

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        model = str(_make_model(root / "model", base / TOKENIZER_FILE))
        shapes = BaseShapes.read(Path(model))
        RandomAdapters.about(shapes, RANK, EVERY_MODULE).write(root / "adapters" / ADAPTER, 0)

        engine = ENGINE | dict(settings.engine)
        flags = {"store": str(root / "store")}
        launches: dict[str, Launch] = {
            VLLM: lambda port: vllm_command(model, root / "adapters", engine, port),
            LORABAY: lambda port: lorabay_command(model, root / "adapters", engine, port, flags),
        }
        warm_file_cache(model)
        return take_turns(launches, litellm_of(settings.litellm, root), settings, progress)


def litellm_of(program: Path | None, root: Path) -> Callable[[str], Launch] | None:
    """Return what launches LiteLLM's proxy in front of a server's URL; None without the program."""
    if program is None:
        return None

    def in_front_of(url: str) -> Launch:
        parameters = {
            "model": f"text-completion-openai/{ADAPTER}",
            "api_base": f"{url}/v1",
            "api_key": "none",
        }
        config = root / "litellm.yaml"
        # JSON is YAML, too.
        models = [{"model_name": ADAPTER, "litellm_params": parameters}]
        general = {"master_key": LITELLM_KEY}
        config.write_text(json.dumps({"model_list": models, "general_settings": general}))
        return lambda port: [
            *(str(program), "--config", str(config)),
            *("--host", HOST, "--port", str(port), "--num_workers", "1"),
        ]

    return in_front_of


def take_turns(
    launches: Mapping[str, Launch],
    litellm: Callable[[str], Launch] | None,
    settings: BenchSettings,
    progress: Progress,
    connections: Sequence[int] = CONNECTIONS,
) -> Findings:
    """Start all servers, alternate over each number of connections, and compare.

    Raises SetupError if a server fails a request.
    """
    rounds = settings.rounds or ROUNDS
    sides = len(launches) + (litellm is not None)
    progress.plan(sides + len(connections) * sides * rounds)

    servers: list[ReadyServer] = []
    turns: list[Turn[Run]] = []
    with ExitStack() as stack:
        for name, launch in launches.items():
            progress.step(f"starting {name}")
            servers.append(stack.enter_context(started(name, launch, settings)))
        if litellm is not None:
            progress.step(f"starting {LITELLM}")
            launch = litellm(servers[0].target.url)
            env = {**settings.env, **LITELLM_ENV}
            asked = replace(settings, api_key=LITELLM_KEY, env=env)
            servers.append(stack.enter_context(started(LITELLM, launch, asked)))

        for count in connections:
            takers = {server.name: _side(server, count, settings, progress) for server in servers}
            turns += alternate(takers, rounds)

    starts = tuple(Start(server.name, 0, server.start_s) for server in servers)
    return Findings(tuple(turn.value for turn in turns), starts, compare(turns))


def _side(
    server: ReadyServer, connections: int, settings: BenchSettings, progress: Progress
) -> Callable[[int], Run]:
    """Return the turn of one server."""
    workload = Workload((ADAPTER,), PROMPT_TOKENS, OUTPUT_TOKENS)
    asked = replace(settings, requests=settings.requests or REQUESTS.get(connections))
    warm_up(server.target, workload, connections, settings.request_timeout_s)

    def take(number: int) -> Run:
        progress.step(f"{server.name}, {connections} connections, round {number + 1}")
        wait_idle([server.group])
        run = measure(server.name, server.target, workload, connections, number, asked)
        if run.stats.failures or not run.stats.answers:
            reason = next(iter(run.stats.failures), "no answer")
            raise SetupError(f"{server.name} failed over {connections} connections: {reason}")
        return run

    return take


def compare(turns: Sequence[Turn[Run]]) -> tuple[Comparison, ...]:
    """Return our p50 and p99 over vLLM's, and what LiteLLM adds over what we add, if it was there,
    for each number of connections.
    """
    by_connections: dict[int, list[Turn[Run]]] = {}
    for turn in turns:
        by_connections.setdefault(turn.value.concurrency, []).append(turn)

    comparisons: list[Comparison] = []
    for count, those in by_connections.items():
        for percentile in (P50, P99):
            times = figures(those, percentile.of)
            what = f"{percentile.name}, {count} connections"
            values = ratios(times, LORABAY, VLLM)
            name = f"{what}, {LORABAY} / {VLLM}"
            comparisons.append(Comparison(name, values, "x", BAR, at_least=False))
            if any(turn.side == LITELLM for turn in times):
                name = f"{what}, added by {LITELLM} / added by {LORABAY}"
                comparisons.append(Comparison(name, added_ratios(times), "x", ADDED_BAR))
    return tuple(comparisons)


def added_ratios(times: Sequence[Turn[float]]) -> tuple[float, ...]:
    """Return what LiteLLM adds to vLLM's own time over what we add, round by round."""
    by_round: dict[int, dict[str, float]] = {}
    for turn in times:
        by_round.setdefault(turn.round, {})[turn.side] = turn.value

    return tuple(
        (sides[LITELLM] - sides[VLLM]) / max(sides[LORABAY] - sides[VLLM], LEAST_MS)
        for sides in by_round.values()
    )


def _make_model(folder: Path, tokenizer: Path) -> Path:
    """Make the model, with the tokenizer of the base that was given: vLLM wants one."""
    MODEL.write(folder)
    for name in (tokenizer.name, "tokenizer_config.json", "special_tokens_map.json"):
        if (tokenizer.parent / name).is_file():
            shutil.copy(tokenizer.parent / name, folder / name)
    return folder
