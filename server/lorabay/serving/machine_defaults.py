"""Engine options and variables that follow from the adapters, from this machine and its devices.

Knows nothing of settings: the caller lets a user's choice win. Imports vLLM only when asked about
devices.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping, Sequence
from itertools import pairwise
from typing import Any

from lorabay.errors import UsageError

SLOTS_AT_MOST = 8
"""Engine slots by default; when there are more adapters, they take turns."""

MANY_SLOTS = 16
"""Slots for many adapters beside a GPU, where that costs little: a third fewer wait for one."""

MANY_ADAPTERS = 16
"""Adapters beyond which they are many."""

SMALLEST_RANK = 16
"""The rank limit where no adapter needs a larger one: vLLM's own default."""

CPU_MEMORY_SHARE = 0.2
"""Share of the machine's memory for adapters that wait beside the slots, by default."""

DORA_VARIABLE = "LORABAY_DORA"
"""Set to 1, it makes the plugin scale outputs on devices whose compiled graphs must hold that.

Scaling is the plugin's work, in vLLM's own processes; an environment variable reaches it there."""

BESIDE_VARIABLE = "_LORABAY_COMPILES_BESIDE"
"""Set to 1, it makes the plugin answer before the base is compiled, on a CPU.

Not the name of a setting: those are read from `LORABAY_*`."""

RAY_VARIABLES_VARIABLE = "VLLM_RAY_EXTRA_ENV_VARS_TO_COPY"
"""Names, joined by commas, of variables that vLLM's workers on other nodes get too."""

START_METHOD_VARIABLE = "VLLM_WORKER_MULTIPROC_METHOD"
"""How vLLM starts its engine and its workers."""


def adapter_options(
    adapters: int, memory_bytes: int, *, slots: int, rank: int, adapter_bytes: int
) -> dict[str, Any]:
    """Return vLLM's options for adapters where each worker has `memory_bytes` of memory.

    Memory holds each adapter twice, because a new version loads while the old one drains, within
    `CPU_MEMORY_SHARE`; one takes `adapter_bytes` of it. A place that holds none costs nothing.
    `rank` is what each of the slots takes.
    """
    affordable = int(CPU_MEMORY_SHARE * memory_bytes) // max(adapter_bytes, 1)
    in_memory = min(2 * adapters + 1, affordable)
    return {
        "max_loras": slots,
        "max_cpu_loras": max(slots + 1, in_memory),  # vLLM wants more than slots
        "max_lora_rank": rank,
    }


def slot_count(adapters: int, *, at_most: int = SLOTS_AT_MOST) -> int:
    """Return the number of slots for so many adapters."""
    # One more than adapters: a new version finds a free one beside the old.
    return min(adapters + 1, at_most)


def engine_is_on_cpu() -> bool:
    """Return whether vLLM computes on this machine's processors; imports parts of vLLM."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def device_memory_bytes() -> int | None:
    """Return the memory of one of vLLM's devices; None if its platform does not say.

    Asks the driver; nothing is started on the device.
    """
    from vllm.platforms import current_platform

    try:
        return int(current_platform.get_device_total_memory())
    except Exception:  # noqa: BLE001 - each platform's driver has errors of its own
        return None


def free_device_bytes() -> int | None:
    """Return the memory that is free now on the first of vLLM's devices; None if nobody knows.

    Asks the driver; nothing is started on the device.
    """
    from vllm.platforms import current_platform
    from vllm.utils.import_utils import import_pynvml

    try:
        driver = import_pynvml()
        driver.nvmlInit()
        try:
            number = current_platform.device_id_to_physical_device_id(0)
            handle = driver.nvmlDeviceGetHandleByIndex(number)
            return int(driver.nvmlDeviceGetMemoryInfo(handle).free)
        finally:
            driver.nvmlShutdown()
    except Exception:  # noqa: BLE001 - each platform's driver has errors of its own
        return None


def known_architectures() -> frozenset[str]:
    """Return the architectures that vLLM knows, as configs name them; imports parts of vLLM."""
    from vllm.model_executor.models.registry import ModelRegistry

    return frozenset(ModelRegistry.get_supported_archs())


SHORTEST_CONTEXT = 512
"""Tokens that every language model reads, also one whose config does not say how many."""


def cpu_options(
    engine: Mapping[str, Any], slice_tokens: int, context: int | None = None
) -> dict[str, Any]:
    """Return vLLM's options for an engine on processors, beside the user's own in `engine`.

    A long prompt is read in slices of `slice_tokens` while others wait for their next token, so
    that it holds nobody up. Alone it is read at once. `context` is the base's own length.
    """
    asked = engine.get("max_model_len")
    # It may be written as `4k`.
    longest = asked if isinstance(asked, int) else context or SHORTEST_CONTEXT
    # vLLM refuses a slice that is longer than any prompt.
    return {"long_prefill_token_threshold": slice_tokens} if longest >= slice_tokens else {}


def adapts_experts() -> bool:
    """Return whether vLLM adapts the experts of a mixture here; imports parts of vLLM.

    Its kernels for them run on a GPU only.
    """
    return not engine_is_on_cpu()


def server_options(grace_s: float) -> dict[str, Any]:
    """Return vLLM's options for the end of a server that drains for `grace_s` seconds.

    A signal to the whole process group reaches the engine's process too; it drains as long.
    """
    # vLLM draws a bar for the base's files, in a process whose log is not the server's.
    return {"shutdown_timeout": math.ceil(grace_s), "use_tqdm_on_load": False}


def set_start_method(environ: MutableMapping[str, str]) -> None:
    """Have vLLM start its processes afresh, on every platform.

    vLLM forks by default, except on a CPU. A fork of a server under way holds copies of its
    sockets, so that clients wait for ever on connections which the server has closed, and of locks
    that no thread will ever release. Raises UsageError if the user asks for that.
    """
    if environ.setdefault(START_METHOD_VARIABLE, "spawn") != "spawn":
        raise UsageError(
            f"{START_METHOD_VARIABLE} is {environ[START_METHOD_VARIABLE]!r}: an engine that is "
            "forked out of a server keeps its clients' connections and locks; unset it, or set it "
            "to 'spawn'"
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

    A CPU always scales, a GPU with vLLM's Triton kernels if it is asked to. Layers of fully sharded
    LoRA never do, since they compute their updates themselves.
    """
    if options.get("fully_sharded_loras"):
        return False
    if engine_is_on_cpu():
        return True
    if not dora or not has_lora_kernels():
        return False

    environ[DORA_VARIABLE] = "1"
    _carry_to_other_nodes(environ, DORA_VARIABLE)
    return True


def has_lora_kernels() -> bool:
    """Return whether vLLM computes adapters by Triton kernels here; imports parts of vLLM."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cuda_alike())


def _carry_to_other_nodes(environ: MutableMapping[str, str], variable: str) -> None:
    """Have vLLM pass a variable on to its workers on other machines, which Ray starts."""
    carried = [name for name in environ.get(RAY_VARIABLES_VARIABLE, "").split(",") if name]
    if variable not in carried:
        environ[RAY_VARIABLES_VARIABLE] = ",".join([*carried, variable])
