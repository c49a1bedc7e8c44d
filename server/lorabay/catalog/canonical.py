"""The one form in which every accepted adapter is stored and loaded: plain LoRA, standard names, a
minimal config.

Computing it checks all values and gives the digest in a single pass over the tensors.
Knows nothing of how the adapter was stored before or where the result goes.
"""

from __future__ import annotations

import io
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.catalog.digests import VersionDigest
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_folder import SCALES_FILE, WEIGHTS_FILE, Unreadable
from lorabay.files.safetensors_header import header_bytes, storage_order
from lorabay.files.tensors import DTYPE_NAMES
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from lorabay.catalog.versions import Digest
    from lorabay.formats.interface import Draft, Output

    Sink = Callable[[bytes | memoryview], object]
    OpenFile = Callable[[str], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Canonical:
    """An adapter whose config and header passed; its values are read only by `measure`."""

    draft: Draft
    base_model: str | None
    warnings: tuple[str, ...]

    @cached_property
    def files(self) -> Mapping[str, tuple[Output, ...]]:
        """File name -> its tensors, in the order in which they are written and hashed."""
        factors = (output for pair in self.draft.pairs for output in (pair.a, pair.b))
        files = {WEIGHTS_FILE: tuple(sorted(factors, key=storage_order))}
        if self.draft.scales:
            files[SCALES_FILE] = tuple(sorted(self.draft.scales, key=storage_order))
        return files

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
        return {
            **self.meaning,
            **rest,
            "task_type": "CAUSAL_LM",
            "target_modules": list(self.modules),
        }


def measure(canonical: Canonical, open_file: OpenFile | None = None) -> AdapterSpec | Rejected:
    """Checks every value and computes the digest; on the way `open_file` gets the canonical files'
    names, one after the other, and what it gives gets their bytes.

    What was written is whole only when a spec is returned. Raises what writing raises.
    """
    meter = _Meter(canonical)
    try:
        for name, outputs in canonical.files.items():
            with open_file(name) if open_file else nullcontext(io.BytesIO()) as file:
                meter.add(outputs, file.write if open_file else None)
    except Unreadable as problem:
        return rejected([problem.reason])
    return meter.result()


class _Meter:
    """Takes the tensors of all files, one at a time."""

    def __init__(self, canonical: Canonical) -> None:
        self._canonical = canonical
        self._digest = VersionDigest(canonical.meaning)
        self._reasons: list[Reason] = []
        self._idle: set[str] = set()
        self._size = 0

    def add(self, outputs: tuple[Output, ...], write: Sink | None) -> None:
        header = header_bytes(outputs)
        self._size += len(header)
        if write:
            write(header)
        for output in outputs:
            tensor = output.make()
            if not tensor.is_finite:
                self._reasons.append(
                    Reason("not_finite", f"{quoted(output.name)} holds NaN or infinite values")
                )
            if tensor.is_zero or (output in self._canonical.draft.scales and tensor.is_one):
                self._idle.add(output.name)
            self._size += tensor.values.nbytes
            self._digest.add(output.name, output.dtype, tensor.values)
            if write:
                write(tensor.values.data)

    def result(self) -> AdapterSpec | Rejected:
        draft = self._canonical.draft
        pairs = all(pair.a.name in self._idle or pair.b.name in self._idle for pair in draft.pairs)
        if pairs and all(scale.name in self._idle for scale in draft.scales):
            self._reasons.append(
                Reason(
                    "no_effect",
                    "every module's A or B is all zeros: the adapter would answer like the base",
                )
            )
        return (
            rejected(self._reasons)
            if self._reasons
            else _spec(self._canonical, self._digest.digest(), self._size)
        )


def _spec(canonical: Canonical, digest: Digest, size: int) -> AdapterSpec:
    return AdapterSpec(
        digest=digest,
        format=canonical.draft.format,
        rank=canonical.draft.rank,
        alpha=canonical.draft.source_alpha,
        modules=canonical.modules,
        dtype="+".join(
            sorted({DTYPE_NAMES[output.dtype] for output in canonical.files[WEIGHTS_FILE]})
        ),
        size_bytes=size,
        base_model=canonical.base_model,
        warnings=canonical.warnings,
        approximate=canonical.draft.approximate,
    )
