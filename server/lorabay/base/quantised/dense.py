"""A base whose weights may be packed: as dense tensors, or as it is where nobody changes those.

The layouts are those that the quantising libraries document; none of the libraries is needed. A
packing that is not known here is no obstacle for whoever leaves the packed weights alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lorabay.base.quantised.bitsandbytes import bitsandbytes
from lorabay.base.quantised.compressed import block_float8, compressed_tensors
from lorabay.base.quantised.mxfp4 import mxfp4
from lorabay.base.quantised.packed_integers import awq, gptq
from lorabay.base.quantised.packed_weights import PackedWeights
from lorabay.base.tensors import Computed, Stored
from lorabay.errors import SetupError
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lorabay.base.files import BaseFiles
    from lorabay.base.shapes import BaseShapes

    Method = Callable[[Mapping[str, Stored], Mapping[str, object]], dict[str, Computed]]

METHODS: dict[str, Method] = {
    "awq": awq,
    "bitsandbytes": bitsandbytes,
    "compressed-tensors": compressed_tensors,
    "fp8": block_float8,
    "gptq": gptq,
    "mxfp4": mxfp4,
}
"""`quant_method` -> how to read it. Each takes the stored tensors and the config's settings."""

_FIELDS = ("quantization_config", "compression_config")

_MODELOPT = "hf_quant_config.json"
SETTINGS_FILES = (_MODELOPT, "quant_config.json", "quantize_config.json")
"""Files beside a config in which ModelOpt, AWQ and GPTQ describe their packing, too."""

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class DenseBase:
    """The tensors of a base by name, in the order in which they are stored.

    `dtype` is what de-quantised tensors are stored as; None if the base itself says it. `method` is
    how the base was quantised, if it was. `keeps_packing` is whether it still is: then the tensors
    in `packed` are parts of packed weights, and must stay as they are.
    """

    tensors: Mapping[str, Stored | Computed]
    dtype: str | None = None
    method: str | None = None
    keeps_packing: bool = False
    packed: frozenset[str] = frozenset()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user of the tensors should know."""
        if self.method is None:
            return ()
        if self.keeps_packing:
            return (
                f"the base is quantised ({self.method}), and so is the result: no packed weight "
                "changes",
            )
        return (
            f"the base is quantised ({self.method}): the result is its de-quantised weights with "
            "the adapter added",
        )


@dataclass(frozen=True, slots=True)
class Packing:
    """How a base is packed.

    `computed` are the dense tensors of the weights that can be unpacked here, by their dense names.
    `problem` is why others cannot; None if there are no others.
    """

    stored: Mapping[str, Stored]
    method: str | None = None
    computed: Mapping[str, Computed] = field(default_factory=dict)
    problem: str | None = None

    def shapes(self, stored: BaseShapes) -> BaseShapes:
        """Return the base's `stored` shapes, completed by those that its packing hides."""
        dense = _replaced(self.stored, self.computed)
        tensors = {name: tensor.shape for name, tensor in dense.items()}
        shapes = dict(stored.shapes)
        for module, shape in stored.shapes.items():
            weight = tensors.get(f"{module}.weight", ())
            if shape is None and len(weight) == 2 and f"{module}.weight" in self.computed:
                shapes[module] = weight[0], weight[1]
        return replace(stored, shapes=shapes, tensors=tensors)

    def base_for(self, changed: Iterable[str]) -> DenseBase:
        """Return the base for someone who changes the tensors `changed`, given by dense names.

        It stays as it is if none of them is packed. Else all of it is made dense. Raise SetupError
        that names those that cannot be unpacked.
        """
        if self.method is None:
            return DenseBase(self.stored)

        changed = tuple(changed)
        weights = PackedWeights.of(self.stored)
        packed = [name for name in changed if name in self.computed or weights.hold(name)]
        if not packed:
            return DenseBase(
                self.stored, method=self.method, keeps_packing=True, packed=weights.parts
            )

        unknown = [name for name in packed if name not in self.computed]
        if unknown:
            raise self._refusal(unknown, weights)
        return self.dense()

    def dense(self) -> DenseBase:
        """Return all tensors as dense ones. Raise SetupError if one of them cannot be unpacked."""
        if self.method is None:
            return DenseBase(self.stored)
        if self.problem is not None:
            raise SetupError(self.problem)

        tensors = _replaced(self.stored, self.computed)
        left = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Stored)}
        # What is left must be plain: a packed tensor would be copied into a model that is dense.
        for name in sorted(PackedWeights.of(left).tensors):
            raise SetupError(
                f"the base's tensor {quoted(name)} is packed in a way that {self.method} does not "
                "explain"
            )
        return DenseBase(tensors, "BF16", self.method)

    def _refusal(self, unknown: list[str], weights: PackedWeights) -> SetupError:
        """Return why these tensors, which someone wants to change, cannot be."""
        shown = ", ".join(quoted(name) for name in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        problem = self.problem or f"{self.method} does not explain how"
        return SetupError(
            f"the base stores {shown}{more} packed ({weights.dtypes(unknown)}), and they cannot be "
            f"changed: {problem}; merge into a base that is not quantised, or train other modules"
        )


def read_packing(base: BaseFiles) -> Packing:
    """Return how a base is packed.

    Raise SetupError if its config says that it is packed in a known way and its files are not.
    """
    settings = _settings(base.config, base.folder)
    if settings is None:
        return Packing(base.tensors)

    method = settings.get("quant_method") if isinstance(settings, Mapping) else None
    if not isinstance(settings, Mapping) or method not in METHODS:
        known = ", ".join(METHODS)
        problem = (
            f"the base is quantised with {quoted(method)}, which is not de-quantised here; "
            f"known: {known}"
        )
        return Packing(base.tensors, str(method), problem=problem)

    try:
        computed = METHODS[method](base.tensors, settings)
    except SetupError as error:
        return Packing(base.tensors, method, problem=error.message)
    if not computed:
        raise SetupError(
            f"the base says that it is quantised with {method}, and holds no such weights"
        )
    return Packing(base.tensors, method, computed)


def with_hidden_shapes(base: BaseFiles, stored: BaseShapes) -> BaseShapes:
    """Return the `stored` shapes with those that a packing hides, where it is one that is known.

    The tensors stay as they are stored.
    """
    try:
        packing = read_packing(base)
    except SetupError:
        return stored

    shapes = packing.shapes(stored).shapes
    hidden = frozenset(module for module in shapes if shapes[module] != stored.shapes[module])
    return replace(stored, shapes=shapes, packed=hidden)


def dense_tensors(base: BaseFiles) -> DenseBase:
    """Return the tensors of a base. Raise SetupError if it is quantised in an unknown way."""
    return read_packing(base).dense()


def _settings(config: Mapping[str, object], folder: Path) -> object:
    """Return what describes the packing of a base; None if nothing does."""
    for name in _FIELDS:
        if config.get(name) is not None:
            return config[name]

    # Older checkpoints of ModelOpt say it only in a file of their own.
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        producer = json.loads((folder / _MODELOPT).read_bytes()).get("producer", {})
        return {"quant_method": str(producer.get("name", "modelopt"))}
    return None


def _replaced(
    stored: Mapping[str, Stored], computed: Mapping[str, Computed]
) -> dict[str, Stored | Computed]:
    """Return `stored` with each computed tensor in place of the first of its parts."""
    whole_of: dict[str, str] = {}
    for name, tensor in computed.items():
        whole_of.update(dict.fromkeys(tensor.parts, name))

    tensors: dict[str, Stored | Computed] = {}
    for name, plain in stored.items():
        whole = whole_of.get(name)
        # The first part decides the place; the later ones find the name there.
        if whole is None:
            tensors.setdefault(name, plain)
        else:
            tensors.setdefault(whole, computed[whole])
    return tensors
