"""What a PEFT format must provide: a check of config and header, and a plan of plain LoRA tensors
to make from them.

Formats never import one another. They see no paths: values come through the source's reader, when
they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.reasons import Rejected

    Read = Callable[[TensorInfo], Tensor]


@dataclass(frozen=True, slots=True)
class Source:
    """An adapter as it came: its config, the header of its weights, and how to read one of them.

    `trusted` says that its regular expressions may be evaluated: one from an unknown author could
    keep a core busy for hours. `initial` is the same adapter before its training, and
    `residual_base` says that the base is the one that its initialisation left: either makes
    adapters whose initialisation changed the base exact.
    """

    config: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]
    read: Read
    trusted: bool = False
    initial: Source | None = None
    residual_base: bool = False

    def load(self, info: TensorInfo) -> Load:
        """The tensor as stored, widened to float32, each time it is called."""
        return lambda: self.read(info).as_float32()


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of the canonical adapter and how to make its values."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one module: its update is proportional to `b @ a`."""

    module: str
    a: Output
    b: Output


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked adapter as plain LoRA, its values not yet read.

    The engine computes the scale from `rank`, `alpha` and `rslora`; `source_alpha` is what the
    author wrote. `scales` are factors of the outputs of whole modules, base and LoRA together with
    what B already has of them (DoRA).
    """

    format: str
    rank: int
    alpha: float
    rslora: bool
    source_alpha: float
    pairs: tuple[LoraPair, ...]
    warnings: tuple[str, ...] = ()
    scales: tuple[Output, ...] = ()
    approximate: float | None = None


@dataclass(frozen=True, slots=True)
class Updates:
    """What a checked adapter does to the base: tensor name of the base -> updates, applied in
    order.

    `rank` is the largest of all modules, 0 where the word means nothing.
    """

    format: str
    rank: int
    alpha: float
    by_tensor: Mapping[str, tuple[Update, ...]]
    warnings: tuple[str, ...] = ()


class Format(Protocol):
    """One PEFT type that is stored as it came. Implemented by modules."""

    def check(self, source: Source, base: BaseShapes) -> Draft | Rejected:
        """Every reason why this adapter cannot be served on `base`, or its plain LoRA form. Reads
        no values.
        """


class UpdateFormat(Protocol):
    """One PEFT type as updates of weights. Implemented by modules."""

    def updates(self, source: Source, base: BaseShapes) -> Updates | Rejected:
        """Every reason why this adapter does not fit `base`, or what it does to it. Reads no
        factor.
        """
