"""Engine options that follow from this host and from the adapters, for whatever the settings leave open."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, MutableMapping
from typing import Any

SLOTS_AT_MOST = 8
"""Engine slots by default, however many adapters there are; the others take turns."""


def adapter_options(ranks: Collection[int], allowed_ranks: Collection[int]) -> dict[str, Any]:
    """Choose slots and rank limit for adapters of these ranks.

    One CPU slot more than adapters, so that a new version of one can be loaded while the old one drains; the rank
    limit is the smallest of vLLM's `allowed_ranks` that fits every adapter, and at least 16, vLLM's own default.
    """
    slots = min(max(len(ranks), 1) + 1, SLOTS_AT_MOST)
    rank = max([16, *ranks])
    return {
        "max_loras": slots,
        "max_cpu_loras": max(slots, 2 * len(ranks) + 1),
        "max_lora_rank": min((allowed for allowed in allowed_ranks if allowed >= rank), default=max(allowed_ranks)),
    }


def server_options(grace_s: float) -> dict[str, Any]:
    """Let the engine process drain as well when a signal reaches the whole process group."""
    return {"shutdown_timeout": math.ceil(grace_s)}


def set_cpu_environment(environ: MutableMapping[str, str], *, kv_cache_gib: int, threads: str) -> None:
    """Set the variables through which vLLM's CPU platform takes its memory and threads; those that are set stay.

    vLLM's own default leaves one core to the scheduler, which halves the speed of a small machine.
    """
    every = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(kv_cache_gib))
    environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", every if threads == "all" else threads)
