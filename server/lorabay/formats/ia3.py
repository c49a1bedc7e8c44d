"""(IA)³ (Liu et al. 2022): W' = gate * W, with one trained vector for each module.

The vector multiplies the outputs of most layers, and the inputs of feed-forward ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.algebra.updates import Gated, transposed
from lorabay.formats.config.config_fields import coverage_problems
from lorabay.formats.interface import Updates
from lorabay.formats.tensor_names import by_module
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source

_GATE = "ia3_l"


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a gate for each module's weight, and one for its bias if outputs are scaled."""
    tensors = by_module(source.tensors, (_GATE,), base)
    reasons = [*tensors.problems, *coverage_problems(source.config, tensors.modules, base)]
    for module, roles in tensors.modules.items():
        reasons += _problems(module, roles[_GATE], base)
    if reasons:
        return rejected(reasons)

    by_tensor: dict[str, tuple[Update, ...]] = {}
    for module, roles in tensors.modules.items():
        # A Conv1D's weight is stored transposed, and its gate fits the transpose.
        gate = source.load(roles[_GATE])
        weight_gate = transposed(gate) if base.is_conv1d(module) else gate
        by_tensor[f"{module}.weight"] = (Gated(weight_gate),)

        scales_outputs = roles[_GATE].shape[1] == 1
        if scales_outputs and f"{module}.bias" in base.tensors:
            by_tensor[f"{module}.bias"] = (Gated(_column(gate)),)
    return Updates("ia3", 0, 1.0, by_tensor)


def _problems(module: str, gate: TensorInfo, base: BaseShapes) -> Iterator[Reason]:
    shape = base.layer_shape(module)
    if shape is None:
        if len(gate.shape) != 2:
            yield Reason("shape", f"{quoted(gate.name)} has shape {gate.shape}, which is no matrix")
        return
    outputs, inputs = (shape[0], 1), (1, shape[1])
    if gate.shape not in {outputs, inputs}:
        text = (
            f"{quoted(gate.name)} has shape {gate.shape}; expected is {outputs}, "
            f"or {inputs} for inputs"
        )
        yield Reason("shape", text)


def _column(load: Load) -> Load:
    return lambda: load()[:, 0]
