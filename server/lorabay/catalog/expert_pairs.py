"""LoRA on the experts of a mixture, in the form that vLLM 0.32's loader takes.

vLLM has two kinds of layers for experts. One takes each matrix of each expert as a module of its
own, `experts.7.gate_proj`; all of a layer must be there. The other takes PEFT's two pairs of a
layer, `experts.base_layer` and `experts`, for models whose files hold all experts in one tensor.
Zeros fill up what an adapter leaves alone. Knows no files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.base.parameters import parameters
from lorabay.base.shapes import is_embedding
from lorabay.catalog.canonical import CanonicalTensor, LoraPair
from lorabay.files.tensors import from_float32
from lorabay.formats.advice import MERGE
from lorabay.formats.lora_parameters import flat_a, flat_b
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from lorabay.algebra.updates import ExpertProducts, Load, Matrix
    from lorabay.base.parameters import Parameter
    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.tensors import Tensor

TAKE_STACKED = frozenset({
    "GptOssForCausalLM", "InternS1ProForConditionalGeneration",
    "Qwen3OmniMoeForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration",
    "Qwen3_5MoeForConditionalGeneration",
})  # fmt: skip
"""Architectures whose class in vLLM 0.32 has `is_3d_moe_weight`: those take PEFT's two pairs."""

_OUTER, _INNER = "down_proj", "gate_up_proj"
"""The parameters of a layer, as PEFT wraps them: the first lies outside, the second inside."""

_SINGLE = re.compile(r"(?P<experts>.+\.experts)\.\d+\.\w+")


def stacked_problems(name: str, update: ExpertProducts, base: BaseShapes) -> Iterator[Reason]:
    """Check that vLLM's class of the base takes LoRA on `name`, a tensor of all experts."""
    known = name.endswith((f".experts.{_OUTER}", f".experts.{_INNER}"))
    if base.architecture not in TAKE_STACKED or not known:
        yield _not_taken(name, base)
        return

    # Factors of an older PEFT may make the transpose, which merges as well and loads nowhere.
    sides = _Sides.of(parameters(base)[name], inputs_first=update.inputs_first)
    hidden = sides.outputs if name.endswith(_OUTER) else sides.inputs
    embedding = next(filter(is_embedding, base.shapes), "")
    shape = base.shapes.get(embedding)
    if shape is not None and shape[1] != hidden:
        yield _not_taken(name, base)


def single_problems(modules: Iterable[str], base: BaseShapes) -> Iterator[Reason]:
    """Check that vLLM's class of the base takes LoRA on matrices of single experts, if any are."""
    if base.architecture not in TAKE_STACKED:
        return
    single = next(filter(_layer, modules), None)
    if single is not None:
        yield _not_taken(single, base)


def _not_taken(name: str, base: BaseShapes) -> Reason:
    text = (
        f"vLLM's class of {base.architecture} does not take LoRA on {quoted(name)} as the base "
        f"stores it; {MERGE}"
    )
    return Reason("module_not_adapted", text)


def stacked_pairs(
    updates: Mapping[str, ExpertProducts], base: BaseShapes, rank: int
) -> Iterator[LoraPair]:
    """Yield PEFT's two pairs for each layer of which `updates` change a tensor of all experts."""
    known = parameters(base)
    layers = dict.fromkeys(name.rpartition(".")[0] for name in updates)
    for layer in layers:
        inner, outer = f"{layer}.{_INNER}", f"{layer}.{_OUTER}"
        present = updates.get(inner) or updates[outer]
        for name, module in ((inner, f"{layer}.base_layer"), (outer, layer)):
            sides = _Sides.of(known[name], inputs_first=present.inputs_first)
            yield sides.pair(module, updates.get(name), rank)


def empty_pairs(
    modules: Collection[str], base: BaseShapes, rank: int, dtype: str
) -> Iterator[LoraPair]:
    """Yield pairs of zeros for the matrices of experts that `modules` lack of their layers.

    vLLM packs the experts of a layer into one, and cannot do so without all of them.
    """
    layers = {_layer(module) for module in modules} - {""}
    # Most adapters have no experts, and then nothing is walked through.
    if not layers:
        return

    for parameter in dict.fromkeys(parameters(base).values()):
        for matrix in parameter.matrices:
            name = matrix.tensor.removesuffix(".weight")
            if _layer(name) in layers and name not in modules:
                shape = base.layer_shape(name) or (matrix.last - matrix.first, parameter.shape[1])
                yield _zeros(name, shape, rank, dtype)


def _layer(module: str) -> str:
    """Return the experts that a matrix of one expert belongs to; the empty text for others."""
    match = _SINGLE.fullmatch(module)
    return "" if match is None else match["experts"]


@dataclass(frozen=True, slots=True)
class _Sides:
    """The numbers of experts, outputs and inputs of a parameter."""

    experts: int
    outputs: int
    inputs: int

    @classmethod
    def of(cls, parameter: Parameter, *, inputs_first: bool) -> _Sides:
        rows, columns = parameter.shape
        if inputs_first:
            rows, columns = columns, rows
        return cls(parameter.experts, rows, columns)

    def pair(self, module: str, update: ExpertProducts | None, rank: int) -> LoraPair:
        """Return the pair of all experts; zeros fill up smaller ranks, and stand for no update."""

        def a() -> Matrix:
            stacked = np.zeros((self.experts, rank, self.inputs), np.float32)
            if update is not None:
                stacked[:, : update.rank] = update.a()
            return flat_a(stacked)

        def b() -> Matrix:
            stacked = np.zeros((self.experts, self.outputs, rank), np.float32)
            if update is not None:
                stacked[:, :, : update.rank] = update.b() * np.float32(update.scale)
            return flat_b(stacked)

        count = rank * self.experts
        name = PREFIX + module
        return LoraPair(
            module,
            _tensor(f"{name}.lora_A.weight", (count, self.inputs), a),
            _tensor(f"{name}.lora_B.weight", (self.outputs, count), b),
        )


def _zeros(module: str, shape: Shape, rank: int, dtype: str) -> LoraPair:
    """Return a pair that adds nothing to a module of `shape`, (outputs, inputs)."""
    outputs, inputs = shape
    name = PREFIX + module

    def a() -> Matrix:
        return np.zeros((rank, inputs), np.float32)

    def b() -> Matrix:
        return np.zeros((outputs, rank), np.float32)

    return LoraPair(
        module,
        _tensor(f"{name}.lora_A.weight", (rank, inputs), a, dtype),
        _tensor(f"{name}.lora_B.weight", (outputs, rank), b, dtype),
    )


def _tensor(name: str, shape: tuple[int, ...], load: Load, dtype: str = "F32") -> CanonicalTensor:
    def make() -> Tensor:
        return from_float32(np.ascontiguousarray(load()), dtype)

    return CanonicalTensor(name, dtype, shape, make)
