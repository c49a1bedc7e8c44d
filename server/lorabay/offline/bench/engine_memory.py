"""Scenario `memory`: what the engine holds beyond the base, with every slot taken, against the bytes of the slots.

Two starts, one after the other: the bare base, and our server with as many adapters as it has slots, all loaded.
Compared is the anonymous memory of vLLM's worker, the process that holds the weights, after one short answer.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.catalog.base_shapes import BaseShapes
from lorabay.offline.bench.adapter_cost import BARE, EVERY_MODULE, NAMES, RANK, SLOTS
from lorabay.offline.bench.commands import LORABAY, bare_command, lorabay_command
from lorabay.offline.bench.process_use import MIB, largest_of_group
from lorabay.offline.bench.random_adapters import RandomAdapters
from lorabay.offline.bench.report import Fact, Findings, Start
from lorabay.offline.bench.started import started

if TYPE_CHECKING:
    from lorabay.offline.bench.progress import Progress
    from lorabay.offline.bench.settings import BenchSettings
    from lorabay.offline.bench.started import Launch

ENGINE = {"max_loras": str(SLOTS), "max_cpu_loras": str(SLOTS), "max_lora_rank": str(RANK)}
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
    """Start each, look, stop it; as often as `rounds` says, the least figure of each side counts."""
    rounds = settings.rounds or 1
    progress.plan(2 * rounds)
    held: dict[str, list[int]] = {BARE: [], LORABAY: []}
    starts: list[Start] = []
    for number in range(rounds):
        for name, launch in ((BARE, bare), (LORABAY, ours)):
            progress.step(f"starting {name}, round {number + 1}")
            with started(name, launch, settings) as server:
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
