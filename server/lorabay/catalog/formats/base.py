"""What a PEFT format must provide: a check of config and header, and a plan of plain LoRA tensors to make from them.

Formats never import one another. They see no paths: values come through the reader that `make` is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lorabay.catalog.base_shapes import BaseShapes
    from lorabay.catalog.header import TensorInfo
    from lorabay.catalog.spec import Rejected
    from lorabay.catalog.tensors import Tensor

    Read = Callable[[TensorInfo], Tensor]


@dataclass(frozen=True, slots=True)
class Source:
    """An adapter as it came: its config and the header of its weights."""

    config: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of the canonical adapter and how to make its values."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[Read], Tensor]


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one module: its update is proportional to `b @ a`."""

    module: str
    a: Output
    b: Output


@dataclass(frozen=True, slots=True)
class Draft:
    """A checked adapter as plain LoRA, its values not yet read.

    The engine computes the scale from `rank`, `alpha` and `rslora`; `source_alpha` is what the author wrote.
    """

    format: str
    rank: int
    alpha: float
    rslora: bool
    source_alpha: float
    pairs: tuple[LoraPair, ...]
    warnings: tuple[str, ...] = ()


class Format(Protocol):
    """One PEFT type. Implemented by modules."""

    def check(self, source: Source, base: BaseShapes) -> Draft | Rejected:
        """Every reason why this adapter cannot be served on `base`, or its plain LoRA form. Reads no values."""
