"""Scenario `memory`: the engine's memory beyond the base, with every slot taken, against the bytes
of the slots.

Starts in turn the bare base, and our server with as many adapters as it has slots, all loaded.
Compared is the anonymous memory of vLLM's worker, the process that holds the weights. It is read
after a short answer of every adapter at the same time, and of the base to as many requests. The
least of each side counts: a start that compiles holds more.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.commands import LORABAY, bare_command, lorabay_command
from lorabay.bench.load_generator import warm_up
from lorabay.bench.report import Fact, Findings, Start
from lorabay.bench.resources import MIB, largest_of_group
from lorabay.bench.scenarios.adapters import BARE, NAMES, RANK, SLOTS
from lorabay.bench.servers import started
from lorabay.bench.synthetic_adapters import EVERY_MODULE, RandomAdapters

if TYPE_CHECKING:
    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings

ENGINE = {"max_loras": str(SLOTS), "max_cpu_loras": str(SLOTS), "max_lora_rank": str(RANK)}
ROUNDS = 2
BAR = 1.5


def memory(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure both sides on adapters made for them."""
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
    """Start each side once a round, ask it, read its memory, stop it."""
    rounds = settings.rounds or ROUNDS
    progress.plan(2 * rounds)

    held: dict[str, list[int]] = {BARE: [], LORABAY: []}
    starts: list[Start] = []
    for number in range(rounds):
        for name, launch in ((BARE, bare), (LORABAY, ours)):
            progress.step(f"starting {name}, round {number + 1}")
            with started(name, launch, settings) as server:
                workload = settings.workload(server.listing.adapters or (server.listing.base,))
                warm_up(server.target, workload, SLOTS, settings.request_timeout_s)
                held[name].append(largest_of_group(server.group))
            starts.append(Start(name, number, server.start_s))

    # A start that compiles holds more than one that finds the compiled code: the least counts.
    bare_bytes, our_bytes = min(held[BARE]), min(held[LORABAY])
    ratio = (our_bytes - bare_bytes) / slot_bytes
    facts = (
        Fact("worker, bare base", bare_bytes / MIB, "MiB"),
        Fact(f"worker, {SLOTS} adapters loaded", our_bytes / MIB, "MiB"),
        Fact("bytes of the slots", slot_bytes / MIB, "MiB"),
        Fact("memory beyond the base / bytes of the slots", ratio, "x", BAR),
    )
    return Findings(starts=tuple(starts), facts=facts)
