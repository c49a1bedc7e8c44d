"""The one form in which every accepted adapter is stored and loaded: plain LoRA.

It has standard tensor names, one rank, one scale and a minimal config. `measure` checks all values
and computes the digest in a single pass over the tensors. Knows nothing of how the adapter was
stored before or where the result goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.digests import WeightsDigest, version_digest
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_folder import SCALES_FILE, WEIGHTS_FILE, Limits, Unreadable
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.files.safetensors_header import header_bytes, storage_order
from lorabay.files.tensors import DTYPE_NAMES
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from lorabay.catalog.versions import Digest
    from lorabay.files.tensors import Tensor
    from lorabay.formats.interface import Read

    Sink = Callable[[bytes | memoryview], object]
    OpenFile = Callable[[str], AbstractContextManager[BinaryIO]]

_FIRST_FACTORS = (".lora_A.weight", ".lora_embedding_A")


# Trainers send their adapter before its first step, so that its name is served from then on.
UNTRAINED = "untrained: it answers like the base, because A or B of every module is all zeros"
"""Warning about an adapter that changes nothing."""

SCALED_AWAY = (
    "it answers like the base, because lora_alpha is 0, although A and B are trained; verl's model "
    "merger writes that: set lora_alpha to the training's"
)
"""Warning about an adapter of which the config takes every effect."""

BFLOAT16_LARGEST = (2 - 2**-7) * 2.0**127
"""The largest number of bfloat16; float32's is hardly larger."""

FLOAT16_LARGEST = 65504.0

EXPERTS = "experts"
"""The layer of vLLM that holds the experts of a mixture, and of the name before a single one."""


@dataclass(frozen=True, slots=True)
class CanonicalTensor:
    """One tensor of the canonical adapter; `make` reads or computes its values at each call.

    `read_by` returns the same tensor of another file with this one's header, by that file's reader;
    None if the values are computed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]
    read_by: Callable[[Read], CanonicalTensor] | None = None


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one module: its update is proportional to `b @ a`."""

    module: str
    a: CanonicalTensor
    b: CanonicalTensor

    def read_by(self, read: Read) -> LoraPair | None:
        """Return the same pair of another file; None if it is of this one alone."""
        if self.a.read_by is None or self.b.read_by is None:
            return None
        return LoraPair(self.module, self.a.read_by(read), self.b.read_by(read))


@dataclass(frozen=True)
class Canonical:
    """An adapter whose config and header passed; its values are read only by `measure`.

    The engine computes the scale from `rank`, `alpha` and `rslora`; `source_alpha` is the author's
    alpha. `scales` are factors of the outputs of whole modules, base and LoRA together, in addition
    to what B already has of them (DoRA). `approximate` is the relative error, None if exact.
    `defaults` are the adapter's own, which no tensor knows of. `of_base` is whether the tensors are
    right over the base's present weights only, as they hold a difference from them, or copies of
    them were left out; scales always are.
    """

    format: str
    rank: int
    alpha: float
    rslora: bool
    source_alpha: float
    pairs: tuple[LoraPair, ...]
    scales: tuple[CanonicalTensor, ...] = ()
    approximate: float | None = None
    base_model: str | None = None
    warnings: tuple[str, ...] = ()
    defaults: AdapterDefaults = NO_DEFAULTS
    of_base: bool = False

    def read_by(self, read: Read) -> Canonical | None:
        """Return the same form of another file with this one's header, by that file's reader.

        None if the form has values of its own file.
        """
        pairs = [pair.read_by(read) for pair in self.pairs]
        others = [pair for pair in pairs if pair is not None]
        if self.scales or len(others) < len(pairs):
            return None
        return replace(self, pairs=tuple(others))

    @property
    def scale(self) -> float:
        """What the engine multiplies B by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)

    @cached_property
    def files(self) -> Mapping[str, tuple[CanonicalTensor, ...]]:
        """File name -> its tensors, in the order in which they are written and hashed."""
        factors = [tensor for pair in self.pairs for tensor in (pair.a, pair.b)]
        files = {WEIGHTS_FILE: tuple(sorted(factors, key=storage_order))}
        if self.scales:
            files[SCALES_FILE] = tuple(sorted(self.scales, key=storage_order))
        return files

    @property
    def modules(self) -> tuple[str, ...]:
        """The last parts of the modules' names; `experts` for whatever is inside a mixture."""
        return tuple(sorted({last_part(pair.module) for pair in self.pairs}))

    @property
    def meaning(self) -> dict[str, object]:
        """The part of the config that decides what the tensors compute."""
        return {
            "peft_type": "LORA",
            "r": self.rank,
            "lora_alpha": int(self.alpha) if self.alpha.is_integer() else self.alpha,
            "use_rslora": self.rslora,
        }

    @property
    def config(self) -> dict[str, object]:
        """The canonical adapter_config.json."""
        return {
            **self.meaning,
            "base_model_name_or_path": self.base_model,
            "bias": "none",
            "inference_mode": True,
            "task_type": "CAUSAL_LM",
            "target_modules": list(self.modules),
        }


def stored_modules(folder: Path, limits: Limits) -> tuple[str, ...]:
    """Return the modules that the stored version in `folder` changes; none if that is not known."""
    file = AdapterWeights.open(folder, limits)
    if isinstance(file, Rejected):
        return ()

    names = (tensor.name.removeprefix(PREFIX) for tensor in file.tensors)
    return tuple(
        name.removesuffix(factor)
        for name in names
        for factor in _FIRST_FACTORS
        if name.endswith(factor)
    )


def last_part(module: str) -> str:
    """Return the last part of a module's name; `experts` for whatever is inside a mixture."""
    before, experts, _ = f"{module}.".rpartition(f".{EXPERTS}.")
    return EXPERTS if experts and before else module.rpartition(".")[2]


def measure(
    canonical: Canonical,
    open_file: OpenFile | None = None,
    step: Callable[[], object] = lambda: None,
    *,
    largest: float = BFLOAT16_LARGEST,
) -> AdapterSpec | Rejected:
    """Check every value, compute the digest, and write the files with `open_file` on the way.

    `open_file` is called with each canonical file's name in turn. The written files are complete
    only when a spec is returned. `step` is called before each tensor. `largest` is the largest
    number that the engine computes with. Raises what `step` and writing raise.
    """
    meter = _Meter(canonical, step, largest)
    try:
        for name, tensors in canonical.files.items():
            if open_file is None:
                meter.add(tensors)
                continue
            with open_file(name) as file:
                meter.add(tensors, file.write)
    except Unreadable as problem:
        return rejected([problem.reason])
    return meter.result()


class _Meter:
    """Takes the tensors of all files, one at a time."""

    def __init__(self, canonical: Canonical, step: Callable[[], object], largest: float) -> None:
        self._canonical = canonical
        self._step = step
        self._largest = largest
        # The engine multiplies B by the scale when it loads it.
        self._factors = {pair.b.name: abs(canonical.scale) for pair in canonical.pairs}
        self._digest = WeightsDigest(canonical.meaning)
        self._scales = {scale.name for scale in canonical.scales}
        self._reasons: list[Reason] = []
        self._without_effect: set[str] = set()
        self._size = 0

    def add(self, tensors: tuple[CanonicalTensor, ...], write: Sink | None = None) -> None:
        """Read the tensors of one file, in storage order, and write the file if asked to."""
        # Shapes and dtypes are known before any value, so the header can come first.
        header = header_bytes(tensors)
        self._size += len(header)
        if write:
            write(header)

        for info in tensors:
            self._step()
            tensor = info.make()
            self._judge(info.name, tensor)
            # The very bytes that are hashed are written.
            self._size += tensor.values.nbytes
            self._digest.add(info.name, info.dtype, tensor.values)
            if write:
                write(tensor.values.data)

    def _judge(self, name: str, tensor: Tensor) -> None:
        found, factor = tensor.largest, self._factors.get(name, 1.0)
        if not math.isfinite(found):
            text = f"{quoted(name)} holds NaN or infinite values"
            self._reasons.append(Reason("not_finite", text))
        elif max(found, found * factor) > self._largest:
            text = (
                f"{quoted(name)} holds {found:.3g}, which with a scale of {factor:.3g} is over the "
                f"{self._largest:.3g} that the engine computes with"
            )
            self._reasons.append(Reason("not_finite", text))
        if tensor.is_zero or (name in self._scales and tensor.is_one):
            self._without_effect.add(name)

    def result(self) -> AdapterSpec | Rejected:
        """Return the spec after the last tensor, or every problem that values have."""
        if self._reasons:
            return rejected(self._reasons)

        canonical = self._canonical
        why = self._without_effect_because()
        if why is not None:
            canonical = replace(canonical, warnings=(*canonical.warnings, why))
        return _spec(canonical, self._digest.digest(), self._size)

    def _without_effect_because(self) -> str | None:
        """Return why the adapter changes nothing; None if it changes something."""
        if not self._scales <= self._without_effect:
            return None

        # An update B A vanishes when either factor does.
        pairs_vanish = all(
            pair.a.name in self._without_effect or pair.b.name in self._without_effect
            for pair in self._canonical.pairs
        )
        if pairs_vanish:
            return UNTRAINED
        return None if self._canonical.alpha else SCALED_AWAY


def _spec(canonical: Canonical, weights: Digest, size: int) -> AdapterSpec:
    return AdapterSpec(
        digest=version_digest(weights, canonical.defaults),
        format=canonical.format,
        rank=canonical.rank,
        alpha=canonical.source_alpha,
        modules=canonical.modules,
        dtype=_dtype(canonical.files[WEIGHTS_FILE]),
        size_bytes=size,
        base_model=canonical.base_model,
        warnings=canonical.warnings,
        approximate=canonical.approximate,
        weights_digest=weights,
    )


def _dtype(tensors: Iterable[CanonicalTensor]) -> str:
    return "+".join(sorted({DTYPE_NAMES[tensor.dtype] for tensor in tensors}))
