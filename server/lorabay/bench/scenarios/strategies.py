"""Scenario `strategies`: one deployment for each domain, merged, against one shared server for all.

Merges every adapter and starts vLLM's own server on the first result; then starts ours over all
adapters. Each gets the same load, the shared one for the base and all adapters in turn. Memory is
read after the load: of a page that several processes share, each counts its part.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.bench.commands import adapter_folders, bare_command, lorabay_command
from lorabay.bench.load_generator import measure, warm_up
from lorabay.bench.report import Fact, Findings, Run, Start
from lorabay.bench.resources import MIB, held_by_group
from lorabay.bench.servers import started, warm_file_cache
from lorabay.bench.settings import BASE
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
class Deployment:
    """One server under load: its start, its run, and the bytes of memory of all its processes."""

    start: Start
    run: Run
    memory: int


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes of the merged models, and of the base with the adapters."""

    merged: int
    shared: int


def strategies(settings: BenchSettings, progress: Progress) -> Findings:
    """Merge all adapters, then start and drive two servers, one after the other."""
    base, adapters = settings.need_started()
    folders = adapter_folders(adapters)
    progress.plan(len(folders) + 2)

    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as temporary:
        root = Path(temporary)
        seconds = [_merge(folder, Path(base), root, progress) for folder in folders]
        first = str(root / folders[0].name)
        flags = {"store": str(root / "store")}

        def launch_merged(port: int) -> list[str]:
            return bare_command(first, settings.engine, port)

        def launch_shared(port: int) -> list[str]:
            return lorabay_command(base, adapters, settings.engine, port, flags)

        # Each server is alone on the machine while it is measured.
        warm_file_cache(first)
        merged = _deploy(MERGED, launch_merged, (BASE,), settings, progress)
        shared = _deploy(SHARED, launch_shared, (), settings, progress)

        disk = Disk(
            merged=sum(_size(root / folder.name) for folder in folders),
            shared=_size(Path(base)) + sum(_size(folder) for folder in folders),
        )

    return compare_deployments(merged, shared, seconds, disk)


def compare_deployments(
    merged: Deployment, shared: Deployment, merge_seconds: Sequence[float], disk: Disk
) -> Findings:
    """Return the figures of both, the merged one's memory once for each adapter."""
    count = len(merge_seconds)

    facts = (
        Fact("adapters", count, ""),
        Fact("merging them, together", sum(merge_seconds), "s"),
        Fact("disk, merged models", disk.merged / MIB, "MiB"),
        Fact("disk, base and adapters", disk.shared / MIB, "MiB"),
        Fact("memory, one merged deployment", merged.memory / MIB, "MiB"),
        Fact(f"memory, {count} merged deployments", count * merged.memory / MIB, "MiB"),
        Fact("memory, shared server", shared.memory / MIB, "MiB"),
    )
    return Findings(runs=(merged.run, shared.run), starts=(merged.start, shared.start), facts=facts)


def _merge(folder: Path, base: Path, root: Path, progress: Progress) -> float:
    """Merge one adapter into a folder of its name below `root` and return the seconds."""
    progress.step(f"merging {folder.name}")

    begin = time.perf_counter()
    merge(
        MergeSettings(
            adapter=str(folder),
            output=root / folder.name,
            base=base,
            adapters=folder.parent,
            store=root / "store",
            verify=False,
        )
    )
    return time.perf_counter() - begin


def _deploy(
    side: str, launch: Launch, models: tuple[str, ...], settings: BenchSettings, progress: Progress
) -> Deployment:
    """Start a server and drive it; no models means all that it serves."""
    progress.step(f"starting and driving: {side}")
    with started(side, launch, settings) as server:
        workload = settings.workload(server.listing.resolve(models))
        warm_up(server.target, workload, STREAMS, settings.request_timeout_s)
        run = measure(side, server.target, workload, STREAMS, 0, settings)
        return Deployment(Start(side, 0, server.start_s), run, held_by_group(server.group))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
