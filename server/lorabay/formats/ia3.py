"""(IA)³ (Liu et al. 2022): the outputs of some layers, and the inputs of others, are multiplied by
a trained vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.algebra.updates import Gated, transposed
from lorabay.formats.interface import Updates
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.tensor_names import by_module
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source

_ROLE = "ia3_l"


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    found = by_module(source.tensors, (_ROLE,), base)
    reasons = [*found.problems, *coverage_problems(source.config, found.modules, base)]
    for module, roles in found.modules.items():
        reasons += _problems(module, roles[_ROLE], base)
    if reasons:
        return rejected(reasons)
    by_tensor: dict[str, tuple[Update, ...]] = {}
    for module, roles in found.modules.items():
        load = source.load(roles[_ROLE])
        by_tensor[f"{module}.weight"] = (
            Gated(transposed(load) if base.is_conv1d(module) else load),
        )
        if roles[_ROLE].shape[1] == 1 and f"{module}.bias" in base.tensors:
            by_tensor[f"{module}.bias"] = (Gated(_column(load)),)
    return Updates("ia3", 0, 1.0, by_tensor)


def _problems(module: str, gate: TensorInfo, base: BaseShapes) -> Iterator[Reason]:
    shape = base.layer_shape(module)
    if shape is not None and gate.shape not in {(shape[0], 1), (1, shape[1])}:
        yield Reason(
            "shape",
            f"{quoted(gate.name)} has shape {gate.shape}; expected is {(shape[0], 1)}, or {(1, shape[1])} for inputs",
        )


def _column(load: Load) -> Load:
    return lambda: load()[:, 0]
