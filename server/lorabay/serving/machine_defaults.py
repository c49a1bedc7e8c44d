"""Engine options and variables that follow from the adapters, from this machine and its devices.

Knows nothing of settings: the caller lets a user's choice win. Imports vLLM only when asked about
devices.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.catalog.versions import AdapterSpec

SLOTS_AT_MOST = 8
"""Engine slots by default; when there are more adapters, they take turns."""

CPU_MEMORY_SHARE = 0.2
"""Share of the machine's memory for adapters that wait beside the slots, by default."""

DORA_VARIABLE = "LORABAY_DORA"
"""Set to 1, it makes the plugin scale outputs on devices whose compiled graphs must hold that.

Scaling is the plugin's work, in vLLM's own processes; an environment variable reaches it there."""

START_METHOD_VARIABLE = "VLLM_WORKER_MULTIPROC_METHOD"
"""How vLLM starts its engine and its workers."""


def adapter_options(
    specs: Sequence[AdapterSpec],
    allowed_ranks: Collection[int],
    memory_bytes: int,
    *,
    former: Sequence[AdapterSpec] = (),
) -> dict[str, Any]:
    """Return vLLM's options for these adapters on a machine with `memory_bytes` of memory.

    Memory holds each adapter twice, because a new version loads while the old one drains, within
    `CPU_MEMORY_SHARE`. The rank limit is the smallest of vLLM's `allowed_ranks` that fits every
    adapter, and at least 16, vLLM's own default. `former` versions, which may be rolled back to,
    count for the rank limit only.
    """
    # One slot more than adapters: a new version finds a free one beside the old.
    slots = min(max(len(specs), 1) + 1, SLOTS_AT_MOST)

    largest = max((spec.size_bytes for spec in specs), default=1)
    affordable = int(CPU_MEMORY_SHARE * memory_bytes) // max(largest, 1)
    in_memory = min(2 * len(specs) + 1, affordable)

    rank = max([16, *(spec.rank for spec in (*specs, *former))])
    limits = [limit for limit in allowed_ranks if limit >= rank]
    return {
        "max_loras": slots,
        "max_cpu_loras": max(slots + 1, in_memory),  # vLLM wants more than slots
        "max_lora_rank": min(limits, default=max(allowed_ranks)),
    }


def host_memory_bytes() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def server_options(grace_s: float) -> dict[str, Any]:
    """Return vLLM's options for the end of a server that drains for `grace_s` seconds.

    A signal to the whole process group reaches the engine's process too; it drains as long.
    """
    return {"shutdown_timeout": math.ceil(grace_s)}


def set_start_method(environ: MutableMapping[str, str]) -> None:
    """Have vLLM start its processes afresh, on every platform.

    vLLM forks by default, except on a CPU. A fork of a server under way holds copies of its sockets,
    so that clients wait for ever on connections which the server has closed, and of locks that no
    thread will ever release. Raises UsageError if the user asks for that.
    """
    if environ.setdefault(START_METHOD_VARIABLE, "spawn") != "spawn":
        raise UsageError(
            f"{START_METHOD_VARIABLE} is {environ[START_METHOD_VARIABLE]!r}: an engine that is forked "
            "out of a server keeps its clients' connections and locks; unset it, or set it to 'spawn'"
        )


def set_cpu_environment(
    environ: MutableMapping[str, str], *, kv_cache_gib: int, threads: str, workers: int = 1
) -> None:
    """Set the variables that give vLLM's CPU platform its memory and threads, unless they are set.

    `threads` is `all`, or a text in vLLM's own form, with a list of CPUs for each of its `workers`:
    tensor- and pipeline-parallel ranks, of every data-parallel engine.
    """
    environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(kv_cache_gib))

    # vLLM's own default leaves one core to the scheduler, which halves a small machine's speed.
    if threads == "all":
        shares = even_shares(sorted(os.sched_getaffinity(0)), workers)
        lists = [",".join(map(str, share)) for share in shares]
        threads = "|".join(lists)
    environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", threads)


def even_shares(cpus: Sequence[int], workers: int) -> list[Sequence[int]]:
    """Return neighbouring CPUs for each worker; with fewer CPUs than workers, some share one."""
    if len(cpus) < workers:
        return [[cpus[i % len(cpus)]] for i in range(workers)]
    starts = [i * len(cpus) // workers for i in range(workers + 1)]
    return [cpus[start:end] for start, end in pairwise(starts)]


def scales_outputs(
    environ: MutableMapping[str, str], options: Mapping[str, Any], *, dora: bool
) -> bool:
    """Return whether the engine will scale outputs; sets `DORA_VARIABLE` if `dora` asks for it.

    A CPU always scales. Layers of fully sharded LoRA compute their updates themselves, and never
    scale.
    """
    from vllm.platforms import current_platform

    if options.get("fully_sharded_loras"):
        return False
    if dora:
        environ[DORA_VARIABLE] = "1"
    return dora or bool(current_platform.is_cpu())
