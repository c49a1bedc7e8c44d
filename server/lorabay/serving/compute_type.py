"""What suits a kind of processor: the number format that it multiplies fast, and how many tokens of
prompts it reads beside streams.

vLLM takes bfloat16 for a base that is stored so, whatever the processor. Without instructions for
it each product is worked out in float32 in the end, after a conversion, and in vLLM's build often
without oneDNN at all: then a batch gains nothing, and a token of a prompt costs as much as one that
is generated. float32 takes twice the memory. Knows nothing of settings; starts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.base.tensors import Stored

FLOAT32, BFLOAT16 = "float32", "bfloat16"

DENSE_TYPES = ("F64", "F32", "BF16", "F16")
"""Types, by their names in safetensors, of a base that is not quantised."""

MEMORY_SHARE = 0.25
"""Share of the machine's memory that weights in float32 may take without being asked for."""

CPU_INFORMATION = Path("/proc/cpuinfo")

_FLAG_LINES = ("flags", "Features")
"""How Linux calls the line with a processor's features on x86 and on AArch64."""


SLICE_TOKENS = 32
"""Tokens of prompts in a step that streams share, where a token of a prompt costs about as much as
one that is generated."""

MEASURED_PARAMETERS = 106_000_000
"""Parameters in the layers of the base for which slices were measured."""

STEP_SHARE = 1 / 8
"""Part of such a base's step that is no product: the engine's own work, the same for any base."""


@dataclass(frozen=True, slots=True)
class Processor:
    """A kind of processor: the feature by which it is known, and the type that it multiplies fast.

    `basis` is where that is known from. `slice_tokens` of prompts are read in a step that streams
    share, in that type.
    """

    feature: str
    fast: str
    basis: str
    slice_tokens: int = SLICE_TOKENS


PROCESSORS = (
    Processor("amx_bf16", BFLOAT16, "products of tiles in bfloat16", slice_tokens=256),
    Processor("avx512_bf16", BFLOAT16, "measured: decode at 0.85 of the bare base", 256),
    Processor("avx512f", FLOAT32, "oneDNN only imitates bfloat16 there, slower than float32"),
    Processor("avx2", FLOAT32, "measured: prompts 5 times, batches of 16 rows 4 times faster"),
    Processor("bf16", BFLOAT16, "AArch64's own products in bfloat16"),
    Processor("asimd", FLOAT32, "AArch64 without products in bfloat16"),
)
"""Kinds of processors, the more capable ones first. One that is not listed is left to vLLM."""


@dataclass(frozen=True, slots=True)
class ComputeType:
    """The type to compute in, and why; None leaves the choice to vLLM."""

    name: str | None
    reason: str


def processor_features(information: Path = CPU_INFORMATION) -> frozenset[str]:
    """Return what Linux says that this machine's first processor can do; nothing elsewhere."""
    try:
        text = information.read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()

    for line in text.splitlines():
        name, _, features = line.partition(":")
        if name.strip() in _FLAG_LINES:
            return frozenset(features.split())
    return frozenset()


def kind_of(features: frozenset[str]) -> Processor | None:
    """Return the kind of a processor with these features; None if it is not listed."""
    return next((kind for kind in PROCESSORS if kind.feature in features), None)


def slice_tokens(features: frozenset[str], dtype: str, parameters: int | None = None) -> int:
    """Return how many tokens of prompts a processor reads in a step that streams share, if it
    computes in `dtype`, vLLM's `auto` included, a base with so many `parameters` in its layers.

    A small base reads longer slices: its step is mostly the engine's own work, beside which a token
    of a prompt costs little.
    """
    processor = kind_of(features)
    is_fast = processor is not None and dtype in {"auto", processor.fast}
    tokens = processor.slice_tokens if processor and is_fast else SLICE_TOKENS
    if not parameters:
        return tokens

    smaller = MEASURED_PARAMETERS / parameters
    longer = 1 + STEP_SHARE * (smaller - 1)
    return round(tokens * max(1.0, longer))


def choose_compute_type(
    features: frozenset[str], weights: Iterable[Stored], memory_bytes: int, *, copies: int = 1
) -> ComputeType:
    """Return the type for a base with these stored `weights` on a processor with these `features`.

    `memory_bytes` is the machine's memory, which holds the weights `copies` times.
    """
    processor = kind_of(features)
    if processor is None:
        return ComputeType(None, "nothing is known of this processor")
    if processor.fast == BFLOAT16:
        return ComputeType(None, f"this processor multiplies bfloat16 fast ({processor.feature})")

    stored = list(weights)
    if not all(tensor.dtype in DENSE_TYPES for tensor in stored):
        return ComputeType(None, "the base is quantised, and its kernels decide")

    needed = copies * sum(4 * math.prod(tensor.shape) for tensor in stored)
    if needed > MEMORY_SHARE * memory_bytes:
        return ComputeType(
            None,
            f"float32 would be faster on this processor ({processor.feature}), and its weights "
            f"would take {needed >> 20} of {memory_bytes >> 20} MiB",
        )
    return ComputeType(
        FLOAT32, f"this processor multiplies float32 faster than bfloat16 ({processor.feature})"
    )
