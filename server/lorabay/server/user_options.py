"""Options of vLLM that the user set, read as what they must be: whole numbers, names, sizes.

Where an option is not set, its default is vLLM's. Raises UsageError for what vLLM would refuse much
later. Knows nothing of adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorabay.errors import UsageError

VLLM_MEMORY_SHARE = 0.92
"""Share of a device's memory that vLLM takes unless it is told otherwise."""


def target_modules(options: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the modules that the engine adapts, as `lora_target_modules` names them; None if all.

    Raises UsageError unless they are names.
    """
    value = options.get("lora_target_modules")
    if value is None:
        return None

    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"engine option 'lora_target_modules' takes a list of module names, not {value!r}"
        )
    return tuple(names)


def worker_count(options: Mapping[str, Any]) -> int:
    """Return the number of processes that vLLM spreads the model and its copies over.

    Raises UsageError for a size that is no number, or under 1.
    """
    workers = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size"):
        size = whole_number(options, name, default=1)
        if size < 1:
            raise UsageError(f"engine option {name!r} is at least 1, not {size}")
        workers *= size

    return workers


def local_worker_count(options: Mapping[str, Any]) -> int:
    """Return the number of vLLM's processes on this machine, at most."""
    return worker_count({**options, "data_parallel_size": local_copies(options)})


def local_copies(options: Mapping[str, Any]) -> int:
    """Return the number of whole models on this machine, at most."""
    name = "data_parallel_size"
    if options.get("data_parallel_size_local"):
        name = "data_parallel_size_local"
    return whole_number(options, name, default=1)


def all_slots(options: Mapping[str, Any]) -> int:
    """Return the number of slots for adapters, in all copies of the model."""
    copies = whole_number(options, "data_parallel_size", default=1)
    return whole_number(options, "max_loras") * copies


def whole_number(options: Mapping[str, Any], name: str, *, default: int | None = None) -> int:
    """Return an engine option that takes a whole number; raises UsageError for any other value."""
    value = options.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError):
        raise UsageError(f"engine option {name!r} takes a whole number, not {value!r}") from None


def memory_share(options: Mapping[str, Any]) -> float:
    """Return the share of a device's memory that vLLM takes."""
    try:
        return float(options["gpu_memory_utilization"])
    except (KeyError, TypeError, ValueError):
        return VLLM_MEMORY_SHARE  # vLLM itself refuses what is no number
