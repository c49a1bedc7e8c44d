"""Engine options that follow from this host and from the adapters, for whatever the settings leave
open.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.catalog.versions import AdapterSpec

SLOTS_AT_MOST = 8
"""Engine slots by default, however many adapters there are; the others take turns."""

CPU_MEMORY_SHARE = 0.2
"""Part of the host's memory that adapters waiting beside the slots may fill by default."""


def adapter_options(
    specs: Sequence[AdapterSpec],
    allowed_ranks: Collection[int],
    memory_bytes: int,
    *,
    former: Sequence[AdapterSpec] = (),
) -> dict[str, Any]:
    """Choose slots and rank limit for these adapters on a host with `memory_bytes` of memory.

    `former` versions, which may be asked for or rolled back to, only have to stay below the rank
    limit.

    Room for all of them in memory, and as much again for new versions that load while old ones
    drain, within a share of the host's memory. The rank limit is the smallest of vLLM's
    `allowed_ranks` that fits every adapter, and at least 16, vLLM's own default.
    """
    slots = min(max(len(specs), 1) + 1, SLOTS_AT_MOST)
    largest = max((spec.size_bytes for spec in specs), default=1)
    affordable = int(CPU_MEMORY_SHARE * memory_bytes) // max(largest, 1)
    rank = max([16, *(spec.rank for spec in (*specs, *former))])
    return {
        "max_loras": slots,
        "max_cpu_loras": max(slots + 1, min(2 * len(specs) + 1, affordable)),
        "max_lora_rank": min(
            (allowed for allowed in allowed_ranks if allowed >= rank), default=max(allowed_ranks)
        ),
    }


def host_memory_bytes() -> int:
    """Give the host's physical memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def server_options(grace_s: float) -> dict[str, Any]:
    """Let the engine process drain as well when a signal reaches the whole process group."""
    return {"shutdown_timeout": math.ceil(grace_s)}


def set_cpu_environment(
    environ: MutableMapping[str, str], *, kv_cache_gib: int, threads: str, workers: int = 1
) -> None:
    """Set the variables through which vLLM's CPU platform takes its memory and threads; those that
    are set stay.

    vLLM's own default leaves one core to the scheduler, which halves the speed of a small machine.
    It wants a list of CPUs for each of its `workers`: tensor- and pipeline-parallel ranks, of every
    data-parallel engine.
    """
    environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(kv_cache_gib))
    shares = even_shares(sorted(os.sched_getaffinity(0)), workers)
    every = "|".join(",".join(map(str, share)) for share in shares)
    environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", every if threads == "all" else threads)


def even_shares(cpus: Sequence[int], workers: int) -> list[Sequence[int]]:
    """Neighbouring CPUs for each worker; where there are fewer CPUs than workers, several have the
    same.
    """
    if len(cpus) < workers:
        return [[cpus[i % len(cpus)]] for i in range(workers)]
    return [cpus[i * len(cpus) // workers : (i + 1) * len(cpus) // workers] for i in range(workers)]
