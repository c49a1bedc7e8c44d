"""The one form in which every accepted adapter is stored and loaded: plain LoRA, standard names, a minimal config.

Computing it checks all values and gives the digest in a single pass over the tensors.
Knows nothing of how the adapter was stored before or where the result goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.catalog.digests import VersionDigest
from lorabay.catalog.folder import Unreadable
from lorabay.catalog.spec import AdapterSpec, Reason, Rejected, quoted, rejected
from lorabay.catalog.tensors import DTYPE_NAMES, safetensors_header, storage_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.formats.base import Draft, Output
    from lorabay.catalog.spec import Digest

    Sink = Callable[[bytes | memoryview], object]


@dataclass(frozen=True)
class Canonical:
    """An adapter whose config and header passed; its values are read only by `measure`."""

    draft: Draft
    base_model: str | None
    warnings: tuple[str, ...]

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        return tuple(sorted((output for pair in self.draft.pairs for output in (pair.a, pair.b)), key=storage_order))

    @cached_property
    def header(self) -> bytes:
        return safetensors_header(self.outputs)

    @property
    def modules(self) -> tuple[str, ...]:
        return tuple(sorted({pair.module.rpartition(".")[2] for pair in self.draft.pairs}))

    @property
    def meaning(self) -> dict[str, object]:
        """The part of the config that decides what the tensors compute."""
        alpha = self.draft.alpha
        return {
            "peft_type": "LORA",
            "r": self.draft.rank,
            "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
            "use_rslora": self.draft.rslora,
        }

    @property
    def config(self) -> dict[str, object]:
        """The canonical adapter_config.json."""
        rest = {"base_model_name_or_path": self.base_model, "bias": "none", "inference_mode": True}
        return {**self.meaning, **rest, "task_type": "CAUSAL_LM", "target_modules": list(self.modules)}


def measure(canonical: Canonical, write: Sink | None = None) -> AdapterSpec | Rejected:
    """Checks every value and computes the digest; `write` gets the bytes of the canonical weights file on the way.

    What was written is whole only when a spec is returned. Raises what `write` raises.
    """
    try:
        if write:
            write(canonical.header)
        return _measure(canonical, write)
    except Unreadable as problem:
        return rejected([problem.reason])


def _measure(canonical: Canonical, write: Sink | None) -> AdapterSpec | Rejected:
    digest = VersionDigest(canonical.meaning)
    reasons: list[Reason] = []
    zero: set[str] = set()
    size = len(canonical.header)
    for output in canonical.outputs:
        tensor = output.make()
        if not tensor.is_finite:
            reasons.append(Reason("not_finite", f"{quoted(output.name)} holds NaN or infinite values"))
        if tensor.is_zero:
            zero.add(output.name)
        size += tensor.values.nbytes
        digest.add(output.name, output.dtype, tensor.values)
        if write:
            write(tensor.values.data)
    if all(pair.a.name in zero or pair.b.name in zero for pair in canonical.draft.pairs):
        reasons.append(
            Reason("no_effect", "every module's A or B is all zeros: the adapter would answer like the base")
        )
    return rejected(reasons) if reasons else _spec(canonical, digest.digest(), size)


def _spec(canonical: Canonical, digest: Digest, size: int) -> AdapterSpec:
    return AdapterSpec(
        digest=digest,
        format=canonical.draft.format,
        rank=canonical.draft.rank,
        alpha=canonical.draft.source_alpha,
        modules=canonical.modules,
        dtype="+".join(sorted({DTYPE_NAMES[output.dtype] for output in canonical.outputs})),
        size_bytes=size,
        base_model=canonical.base_model,
        warnings=canonical.warnings,
    )
