"""Scenario `memory`: what the engine holds beyond the base, with every slot taken, against the
bytes of the slots.

Starts in turn: the bare base, and our server with as many adapters as it has slots, all loaded.
Compared is the anonymous memory of vLLM's worker, the process that holds the weights, after a short
answer of every adapter at the same time, and of the base to as many requests. The least of each
side counts: a start that compiles holds more.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, bare_command, lorabay_command
from lorabay.bench.measurement import warm_up
from lorabay.bench.report import Fact, Findings, Start
from lorabay.bench.resources import MIB, largest_of_group
from lorabay.bench.scenarios.adapters import BARE, EVERY_MODULE, NAMES, RANK, SLOTS
from lorabay.bench.servers import started
from lorabay.bench.synthetic_adapters import RandomAdapters
from lorabay.bench.workload import Workload

if TYPE_CHECKING:
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings

ENGINE = {"max_loras": str(SLOTS), "max_cpu_loras": str(SLOTS), "max_lora_rank": str(RANK)}
ROUNDS = 2
BAR = 1.5


def memory(settings: BenchSettings, progress: Progress) -> Findings:
    """Both starts, on adapters made for it."""
    base_folder = settings.need_base()
    base, engine = str(base_folder), ENGINE | dict(settings.engine)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        root = Path(folder)
        kind = RandomAdapters.about(BaseShapes.read(base_folder), RANK, EVERY_MODULE)
        for number, name in enumerate(NAMES[:SLOTS]):
            kind.write(root / "adapters" / name, number)
        flags = {"store": str(root / "store")}
        return measure_memory(
            lambda port: bare_command(base, settings.engine, port),
            lambda port: lorabay_command(base, root / "adapters", engine, port, flags),
            SLOTS * kind.size_bytes,
            settings,
            progress,
        )


def measure_memory(
    bare: Launch, ours: Launch, slot_bytes: int, settings: BenchSettings, progress: Progress
) -> Findings:
    """Start each, ask, look, stop it; as often as `rounds` says."""
    rounds = settings.rounds or ROUNDS
    progress.plan(2 * rounds)
    held: dict[str, list[int]] = {BARE: [], LORABAY: []}
    starts: list[Start] = []
    for number in range(rounds):
        for name, launch in ((BARE, bare), (LORABAY, ours)):
            progress.step(f"starting {name}, round {number + 1}")
            with started(name, launch, settings) as server:
                models = server.listing.adapters or (server.listing.base,)
                workload = Workload(models, settings.prompt_tokens, settings.output_tokens)
                warm_up(server.target, workload, SLOTS, settings.request_timeout_s)
                held[name].append(largest_of_group(server.group))
                starts.append(Start(name, number, server.start_s))
    beyond = min(held[LORABAY]) - min(held[BARE])
    facts = (
        Fact("worker, bare base", min(held[BARE]) / MIB, "MiB"),
        Fact(f"worker, {SLOTS} adapters loaded", min(held[LORABAY]) / MIB, "MiB"),
        Fact("bytes of the slots", slot_bytes / MIB, "MiB"),
        Fact("memory beyond the base / bytes of the slots", beyond / slot_bytes, "x", BAR),
    )
    return Findings(starts=tuple(starts), facts=facts)
