"""What the engine of a whole model takes of memory, and whether that is free.

An estimate from the size of the weights and the numbers that are computed with; what is free is
asked when a model is about to start. Knows nothing of vLLM or of settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.versions import AdapterSpec, Version

PROCESS_BYTES = 2560 << 20
"""What an engine's processes take beside weights and KV cache: Python, torch, vLLM and what it has
compiled. Measured on a CPU: 2355 MiB of their own.
"""

NUMBER_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
"""Size of a number of each type that is computed with."""


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """The memory that models may take.

    `kv_cache_bytes` is each one's. `free` returns the bytes that are free now, None where nobody
    knows. `dtype` is what engines compute in; None for a model's own type.
    """

    kv_cache_bytes: int
    free: Callable[[], int | None]
    dtype: str | None = None
    process_bytes: int = PROCESS_BYTES
    takes_at_once: bool = False
    """Whether an engine takes all of its memory when it starts, as on a GPU."""

    @property
    def untouched_bytes(self) -> int:
        """What an engine that runs may still take."""
        return 0 if self.takes_at_once else self.kv_cache_bytes

    def needed_bytes(self, spec: AdapterSpec) -> int:
        """Return what the engine of a model takes in all."""
        return weights_bytes(spec, self.dtype) + self.kv_cache_bytes + self.process_bytes

    def shortage(self, version: Version, others: int = 0) -> str | None:
        """Return how much is missing for a model's engine, and what to do; None if it fits.

        Of `others`, the models that have an engine, the KV cache counts as a whole: its memory is
        taken only when it is first written to.
        """
        free = self.free()
        if free is None:
            return None

        free = max(0, free - others * self.untouched_bytes)
        needed = self.needed_bytes(version.spec)
        if needed <= free:
            return None
        return (
            f"the engine of {version.id} needs {_mib(needed)}: {_mib(needed - free)} more than the "
            f"{_mib(free)} that are free; give the server more memory, lower --model-kv-cache-gib "
            f"({_mib(self.kv_cache_bytes)} now), or take another whole model away"
        )


def weights_bytes(spec: AdapterSpec, dtype: str | None) -> int:
    """Return what a model's weights take in memory when they are computed with as `dtype`.

    Packed weights stay as they are stored.
    """
    stored = [NUMBER_BYTES.get(name) for name in spec.dtype.split("+")]
    known = [size for size in stored if size is not None]
    if dtype is None or len(known) < len(stored):
        return spec.size_bytes
    # Of several types, the smallest has the most numbers in these bytes.
    return spec.size_bytes // min(known) * NUMBER_BYTES[dtype]


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"
