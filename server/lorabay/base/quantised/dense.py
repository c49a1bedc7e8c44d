"""A base as dense tensors, whatever it is stored as: packed weights become things that can be
computed on the CPU.

The layouts are those that the libraries document; none of the libraries is needed. What is not
known is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.quantised.bitsandbytes import bitsandbytes
from lorabay.base.quantised.compressed import block_float8, compressed_tensors
from lorabay.base.quantised.packed_integers import awq, gptq
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from lorabay.base.files import BaseWeights, Stored
    from lorabay.base.shapes import BaseShapes
    from lorabay.merge.tensors import Computed

    Method = Callable[
        [Mapping[str, Stored], Mapping[str, object]], dict[str, tuple[Computed, tuple[str, ...]]]
    ]

METHODS: dict[str, Method] = {
    "awq": awq,
    "bitsandbytes": bitsandbytes,
    "compressed-tensors": compressed_tensors,
    "fp8": block_float8,
    "gptq": gptq,
}
_PLAIN = frozenset({"BF16", "F16", "F32", "F64"})


@dataclass(frozen=True, slots=True)
class DenseBase:
    """Every tensor of the base by its dense name. `dtype`: what the output is stored as, None where
    the base says it; `method`: how the base was quantised."""

    tensors: Mapping[str, Stored | Computed]
    dtype: str | None = None
    method: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.method is None:
            return ()
        return (
            f"the base is quantised ({self.method}): the result is its de-quantised weights with the adapter added",
        )

    def shapes(self, stored: BaseShapes) -> BaseShapes:
        """`stored`, which are the base's, with those that its packing hides."""
        tensors = {name: part.shape for name, part in self.tensors.items()}
        shapes = dict(stored.shapes)
        for module in [module for module, shape in shapes.items() if shape is None]:
            match tensors.get(f"{module}.weight"):
                case (outputs, inputs):
                    shapes[module] = outputs, inputs
        return replace(stored, shapes=shapes, tensors=tensors)


def dense_tensors(base: BaseWeights) -> DenseBase:
    """Raises SetupError for a way of quantising that is not known here."""
    settings = base.config.get("quantization_config", base.config.get("compression_config"))
    if settings is None:
        return DenseBase(base.tensors)
    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    if not isinstance(settings, Mapping) or method not in METHODS:
        known = ", ".join(METHODS)
        raise SetupError(
            f"the base is quantised with {quoted(method)}, which is not de-quantised here; known: {known}"
        )
    computed = METHODS[method](base.tensors, settings)
    if not computed:
        raise SetupError(
            f"the base says that it is quantised with {method}, and holds no such weights"
        )
    dense_of = {part: name for name, (_, consumed) in computed.items() for part in consumed}
    tensors: dict[str, Stored | Computed] = {}
    for name, stored in base.tensors.items():
        dense = dense_of.get(name)
        tensors.setdefault(dense or name, stored if dense is None else computed[dense][0])
    packed = [
        name
        for name, part in tensors.items()
        if not hasattr(part, "load") and part.dtype not in _PLAIN
    ]
    if packed:
        raise SetupError(
            f"the base's tensor {quoted(packed[0])} is packed in a way that {method} does not explain"
        )
    return DenseBase(tensors, "BF16", str(method))
