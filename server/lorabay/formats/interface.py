"""The interface between an adapter's files and its meaning: a source, its updates, and a format.

A format is a module with one function, `updates`. Formats never import one another and see no
paths: they check the config and the tensors' header, and return updates whose factors are read
later through the source.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lorabay.algebra.updates import StoredFactor

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
    """An adapter as it came: its config, the header of its weights, and how to read a tensor.

    `trusted` says that regular expressions in the config may be evaluated: one from an unknown
    author could keep a core busy for hours. `copies` are the base's tensors that the file held
    copies of, which are no longer among `tensors`. `initial` is the same adapter before its
    training.
    `residual_base` says that the base is the one that the adapter's initialisation left. An adapter
    whose initialisation changed the base needs one of the two. `notes` say how the adapter was
    read, if not as it is; `stored_names` has the names in the file of tensors that got others.
    """

    config: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]
    read: Read
    trusted: bool = False
    copies: tuple[str, ...] = ()
    initial: Source | None = None
    residual_base: bool = False
    notes: tuple[str, ...] = ()
    stored_names: Mapping[str, str] = field(default_factory=dict)

    def stored_name(self, info: TensorInfo) -> str:
        """Return the name of the tensor in the adapter's file."""
        return self.stored_names.get(info.name, info.name)

    def load(self, info: TensorInfo) -> Load:
        """Return a `Load` of the tensor as stored, widened to float32."""
        return StoredFactor(info, lambda: self.read(info).as_float32())


@dataclass(frozen=True, slots=True)
class Scaling:
    """The one scale of all modules as a LoRA config writes it.

    The scale is alpha / rank, or alpha / sqrt(rank) with `rslora`.
    """

    alpha: float
    rslora: bool


@dataclass(frozen=True, slots=True)
class Updates:
    """What a checked adapter does to the base: tensor name of the base -> updates in order.

    `rank` is the largest rank of all modules, 0 for formats without ranks. `alpha` is the author's.
    `scaling` is set where the config gives all modules one rank and one scale.
    """

    format: str
    rank: int
    alpha: float
    by_tensor: Mapping[str, tuple[Update, ...]]
    warnings: tuple[str, ...] = ()
    scaling: Scaling | None = None


class Format(Protocol):
    """One PEFT type, or several that are alike. Implemented by modules."""

    def updates(self, source: Source, base: BaseShapes) -> Updates | Rejected:
        """Return what the adapter does to `base`, or every reason why it does not fit it.

        Config and header are checked completely. Factors are not read, but single numbers on which
        a scale depends may be.
        """
