"""Scenario `strategies`: one deployment for each domain, merged, against one shared server for all.

Merges every adapter and starts vLLM's own server on the first result; then starts ours over all
adapters. Each gets the same load, the shared one for the base and all adapters in turn. Memory is
what the processes of a server hold for themselves, plus their share of what they share, after the
load.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.bench.commands import adapter_folders, bare_command, lorabay_command
from lorabay.bench.measurement import measure, warm_up, workload_for
from lorabay.bench.readiness import BASE
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB, held_by_group
from lorabay.bench.servers import started, warm_file_cache
from lorabay.merge.job import MergeSettings
from lorabay.merge.run import merge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.servers import Launch
    from lorabay.bench.settings import BenchSettings

MERGED, SHARED = "merged, one adapter", "shared, all adapters"
STREAMS = 8


@dataclass(frozen=True, slots=True)
class Deployed:
    """One server under load."""

    start: Start
    run: Run
    held: int


def strategies(settings: BenchSettings, progress: Progress) -> Findings:
    """Starts two servers, one after the other."""
    base, adapters = settings.need_started()
    folders = adapter_folders(adapters)
    progress.plan(len(folders) + 2)
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as temporary:
        root = Path(temporary)
        seconds = [_merge(folder, Path(base), root, progress) for folder in folders]
        first = root / folders[0].name
        warm_file_cache(str(first))
        flags = {"store": str(root / "store")}
        merged = _deploy(
            MERGED,
            lambda port: bare_command(str(first), settings.engine, port),
            (BASE,),
            settings,
            progress,
        )
        shared = _deploy(
            SHARED,
            lambda port: lorabay_command(base, adapters, settings.engine, port, flags),
            (),
            settings,
            progress,
        )
        disk = (
            sum(_size(root / folder.name) for folder in folders),
            _size(Path(base)) + sum(map(_size, folders)),
        )
    return found(merged, shared, seconds, disk)


def found(
    merged: Deployed, shared: Deployed, merges: Sequence[float], disk: tuple[int, int]
) -> Findings:
    """`disk`: bytes of the merged models, and of the base with the adapters."""
    count = len(merges)
    facts = (
        Fact("adapters", count, ""),
        Fact("merging them, together", sum(merges), "s"),
        Fact("disk, merged models", disk[0] / MIB, "MiB"),
        Fact("disk, base and adapters", disk[1] / MIB, "MiB"),
        Fact("memory, one merged deployment", merged.held / MIB, "MiB"),
        Fact(f"memory, {count} merged deployments", count * merged.held / MIB, "MiB"),
        Fact("memory, shared server", shared.held / MIB, "MiB"),
    )
    return Findings(runs=(merged.run, shared.run), starts=(merged.start, shared.start), facts=facts)


def _merge(folder: Path, base: Path, root: Path, progress: Progress) -> float:
    progress.step(f"merging {folder.name}")
    begin = time.perf_counter()
    merge(
        MergeSettings(
            str(folder), root / folder.name, base, folder.parent, root / "store", verify=False
        )
    )
    return time.perf_counter() - begin


def _deploy(
    side: str, launch: Launch, models: tuple[str, ...], settings: BenchSettings, progress: Progress
) -> Deployed:
    progress.step(f"starting and driving: {side}")
    with started(side, launch, settings) as server:
        workload = workload_for(replace(settings, models=models), server.listing)
        warm_up(server.target, workload, STREAMS, settings.request_timeout_s)
        measured = measure(server.target, workload, STREAMS, 0, settings)
        run = Run(side, 0, STREAMS, measured.stats, measured.client_cpu_s)
        return Deployed(Start(side, 0, server.start_s), run, held_by_group(server.group))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
