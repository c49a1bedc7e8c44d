"""The parameters of a model in memory, and where the files of its base hold them.

A model has parameters that no file names so: transformers keeps the experts of a layer as one of
three dimensions, `model.layers.0.mlp.experts.gate_up_proj` (experts, outputs, inputs). Files hold
it as it is, or as matrices of single experts, `...mlp.experts.7.gate_proj.weight` and `up_proj`,
also under the names of an older class. Reads no values, and knows nothing of adapters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.model_names import aliases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.base.shapes import BaseShapes, Shape

    Shapes = Mapping[str, tuple[int, ...]]

_FUSED: dict[frozenset[str], dict[str, tuple[str, ...]]] = {
    frozenset({"gate_proj", "up_proj", "down_proj"}): {
        "gate_up_proj": ("gate_proj", "up_proj"),
        "down_proj": ("down_proj",),
    },
    frozenset({"w1", "w2", "w3"}): {"gate_up_proj": ("w1", "w3"), "down_proj": ("w2",)},
    frozenset({"up_proj", "down_proj"}): {"up_proj": ("up_proj",), "down_proj": ("down_proj",)},
}
"""Matrices of an expert in files -> the parameters that they are in a model, each with the matrices
that it consists of, one below the other."""

_BLOCKS = "_blocks"
"""End of the name of MXFP4's tensors, whose last dimension is 16 bytes for 32 inputs."""

_EXPERT = re.compile(r"(?P<experts>.+\.experts)\.(?P<number>\d+)\.(?P<matrix>\w+)\.weight")

_INPUTS_FIRST = frozenset({"aria", "aria_text", "gpt_oss", "openai_privacy_filter"})
"""`model_type` of the models whose experts are (inputs, outputs), in memory and in files."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A tensor of a file that is a part of one expert: outputs from `first` to before `last`."""

    tensor: str
    expert: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model.

    `shape` is that of the matrix of one expert, as files hold it. `tensor` holds all experts, or
    else `matrices` do. `is_plain` is whether the tensor has two dimensions, and so no experts.
    `is_packed` is whether the numbers of inputs are those of packed weights, which mean nothing.
    """

    experts: int
    shape: Shape
    tensor: str | None = None
    matrices: tuple[Matrix, ...] = ()
    is_plain: bool = False
    is_packed: bool = False


def parameters(base: BaseShapes) -> dict[str, Parameter]:
    """Return every parameter that LoRA can be on, by its name in a model.

    A base may stem from a class whose names have changed: then it has both names.
    """
    found: dict[str, Parameter] = {}
    for name, shape in base.tensors.items():
        match shape:
            case (experts, rows, columns):
                found[name] = Parameter(experts, (rows, columns), name)
            case (rows, columns):
                found[name] = Parameter(1, (rows, columns), name, is_plain=True)
            case (experts, outputs, blocks, 16) if name.endswith(_BLOCKS):
                packed = name.removesuffix(_BLOCKS)
                found[packed] = Parameter(experts, (32 * blocks, outputs), packed)

    for name, parameter in _single_experts(base.tensors):
        first = parameter.matrices[0].tensor.removesuffix(".weight")
        is_packed = base.shapes.get(first) is None
        found[name] = replace(parameter, is_packed=is_packed)
    return {alias: found[name] for name in found for alias in aliases(name)}


def places(base: BaseShapes) -> dict[str, list[tuple[str, Matrix | None]]]:
    """Return where each tensor of the files lies in a model: names of a parameter, and its part.

    Without a part it is the whole parameter. A model has one of the names.
    """
    found: dict[str, list[tuple[str, Matrix | None]]] = {}
    for name, parameter in parameters(base).items():
        if parameter.tensor is not None:
            found.setdefault(parameter.tensor, []).append((name, None))
        for matrix in parameter.matrices:
            found.setdefault(matrix.tensor, []).append((name, matrix))
    return found


def stores_inputs_first(base: BaseShapes) -> bool:
    """Return whether models of this type keep the matrix of an expert as (inputs, outputs)."""
    return base.model_type in _INPUTS_FIRST


def _single_experts(tensors: Shapes) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters whose experts lie in tensors of their own, by their names."""
    layers: dict[str, dict[str, dict[int, str]]] = {}
    for name, shape in tensors.items():
        match = _EXPERT.fullmatch(name)
        if match is not None and len(shape) == 2:
            by_matrix = layers.setdefault(match["experts"], {})
            by_matrix.setdefault(match["matrix"], {})[int(match["number"])] = name

    for experts, by_matrix in layers.items():
        for parameter, parts in _FUSED.get(frozenset(by_matrix), {}).items():
            fused = _fused([by_matrix[part] for part in parts], tensors)
            if fused is not None:
                yield f"{experts}.{parameter}", fused


def _fused(parts: list[dict[int, str]], tensors: Shapes) -> Parameter | None:
    """Return the parameter of these matrices of all experts; None if one of them is not there.

    Each of `parts` maps an expert to the tensor of one matrix.
    """
    count = len(parts[0])
    numbers = range(count)
    if any(sorted(part) != list(numbers) for part in parts):
        return None

    matrices: list[Matrix] = []
    columns = tensors[parts[0][0]][1]
    outputs = 0
    for part in parts:
        first, outputs = outputs, outputs + tensors[part[0]][0]
        for expert in numbers:
            if tensors[part[expert]] != (outputs - first, columns):
                return None
            matrices.append(Matrix(part[expert], expert, first, outputs))
    return Parameter(count, (outputs, columns), matrices=tuple(matrices))
