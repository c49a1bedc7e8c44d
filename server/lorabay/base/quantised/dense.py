"""A base as dense tensors, however it is stored: packed weights become tensors to be computed.

The layouts are those that the quantising libraries document; none of the libraries is needed. A
layout that is not known here is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.quantised.bitsandbytes import bitsandbytes
from lorabay.base.quantised.compressed import block_float8, compressed_tensors
from lorabay.base.quantised.packed_integers import awq, gptq
from lorabay.base.tensors import Computed, Stored
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from lorabay.base.files import BaseFiles
    from lorabay.base.shapes import BaseShapes

    Method = Callable[[Mapping[str, Stored], Mapping[str, object]], dict[str, Computed]]

METHODS: dict[str, Method] = {
    "awq": awq,
    "bitsandbytes": bitsandbytes,
    "compressed-tensors": compressed_tensors,
    "fp8": block_float8,
    "gptq": gptq,
}
"""`quant_method` -> how to read it. Each takes the stored tensors and the config's settings."""

_PLAIN = frozenset({"BF16", "F16", "F32", "F64"})


@dataclass(frozen=True, slots=True)
class DenseBase:
    """Every tensor of a base by its dense name, in the order in which they are stored.

    `dtype` is what de-quantised tensors are stored as; None if the base itself says it. `method` is
    how the base was quantised, if it was.
    """

    tensors: Mapping[str, Stored | Computed]
    dtype: str | None = None
    method: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user of the tensors should know."""
        if self.method is None:
            return ()
        return (
            f"the base is quantised ({self.method}): the result is its de-quantised weights with "
            "the adapter added",
        )

    def shapes(self, stored: BaseShapes) -> BaseShapes:
        """Return the base's `stored` shapes, completed by those that its packing hides."""
        tensors = {name: tensor.shape for name, tensor in self.tensors.items()}
        shapes = dict(stored.shapes)
        for module, shape in stored.shapes.items():
            dense = tensors.get(f"{module}.weight", ())
            if shape is None and len(dense) == 2:
                shapes[module] = dense[0], dense[1]
        return replace(stored, shapes=shapes, tensors=tensors)


def dense_tensors(base: BaseFiles) -> DenseBase:
    """Return the tensors of a base. Raise SetupError if it is quantised in an unknown way."""
    settings = base.config.get("quantization_config", base.config.get("compression_config"))
    if settings is None:
        return DenseBase(base.tensors)

    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    if not isinstance(settings, Mapping) or method not in METHODS:
        known = ", ".join(METHODS)
        raise SetupError(
            f"the base is quantised with {quoted(method)}, which is not de-quantised here; "
            f"known: {known}"
        )

    computed = METHODS[method](base.tensors, settings)
    if not computed:
        raise SetupError(
            f"the base says that it is quantised with {method}, and holds no such weights"
        )

    tensors = _replaced(base.tensors, computed)
    # What is left must be plain: a packed tensor would be copied into a model that is dense.
    for name, tensor in tensors.items():
        if isinstance(tensor, Stored) and tensor.dtype not in _PLAIN:
            raise SetupError(
                f"the base's tensor {quoted(name)} is packed in a way that {method} does not "
                "explain"
            )
    return DenseBase(tensors, "BF16", str(method))


def _replaced(
    stored: Mapping[str, Stored], computed: Mapping[str, Computed]
) -> dict[str, Stored | Computed]:
    """Return `stored` with each computed tensor in place of the first of its parts."""
    whole_of = {part: name for name, tensor in computed.items() for part in tensor.parts}
    tensors: dict[str, Stored | Computed] = {}
    for name, tensor in stored.items():
        whole = whole_of.get(name)
        # The first part decides the place; the later ones find the name there.
        if whole is None:
            tensors.setdefault(name, tensor)
        else:
            tensors.setdefault(whole, computed[whole])
    return tensors
