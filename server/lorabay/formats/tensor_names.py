"""Sorts an adapter's tensors by what they belong to: a module of the base and a role in it, or
nothing.

Names are PEFT's: `base_model.model.<module>.<role>`. Everything that does not belong is a problem.
Reads no values and knows no format.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.shapes import tails
from lorabay.files.tensors import DTYPE_NAMES
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.safetensors_header import TensorInfo

PREFIX = "base_model.model."

Roles = dict[str, "TensorInfo"]
"""The tensors of one module by role, such as `lora_A.weight`."""


@dataclass(frozen=True, slots=True)
class ModuleTensors:
    """Module of the base -> its tensors by role; and what does not belong."""

    modules: Mapping[str, Roles]
    problems: tuple[Reason, ...]


def by_module(
    tensors: Iterable[TensorInfo], roles: Iterable[str], base: BaseShapes
) -> ModuleTensors:
    """Every tensor must be one of `roles` of a module of the base."""
    suffixes = tuple(f".{role}" for role in roles)
    modules: defaultdict[str, Roles] = defaultdict(dict)
    problems: list[Reason] = []
    for tensor in tensors:
        suffix = next((suffix for suffix in suffixes if tensor.name.endswith(suffix)), None)
        module = tensor.name.removeprefix(PREFIX).removesuffix(suffix or "")
        if suffix is None:
            problems.append(Reason("unexpected_tensor", f"unexpected tensor {quoted(tensor.name)}"))
        elif module not in base.shapes or not tensor.name.startswith(PREFIX):
            problems.append(not_in_base(tensor.name, module, base))
        else:
            problems += dtype_problems(tensor)
            modules[module][suffix[1:]] = tensor
    if not modules and not problems:
        problems.append(
            Reason("no_tensors", "the safetensors file holds no tensors of this format")
        )
    return ModuleTensors(dict(sorted(modules.items())), tuple(problems))


def dtype_problems(tensor: TensorInfo) -> Iterator[Reason]:
    if tensor.dtype not in DTYPE_NAMES:
        known = ", ".join(DTYPE_NAMES.values())
        yield Reason(
            "dtype", f"{quoted(tensor.name)} is {tensor.dtype}; save the adapter in one of: {known}"
        )


def missing_roles(module: str, roles: Roles, wanted: Iterable[str]) -> Iterator[Reason]:
    absent = sorted(set(wanted) - roles.keys())
    if absent:
        yield Reason(
            "missing_tensor",
            f"module {quoted(module)} lacks {quoted(absent)}; save the adapter again",
        )


def shape_problem(tensor: TensorInfo, expected: tuple[int, ...]) -> Iterator[Reason]:
    if tensor.shape != expected:
        yield Reason(
            "shape", f"{quoted(tensor.name)} has shape {tensor.shape}; expected is {expected}"
        )


def product_problems(
    module: str, outputs: int, inputs: int, shape: Shape | None
) -> Iterator[Reason]:
    """The module's update must have the shape of its weight, where that is known."""
    if shape is not None and shape != (outputs, inputs):
        yield Reason(
            "shape",
            f"module {quoted(module)} of the adapter takes {inputs} inputs and gives {outputs} outputs; the base has "
            f"{shape[1]} and {shape[0]}",
        )


def not_in_base(name: str, module: str, base: BaseShapes) -> Reason:
    """A module with another prefix than the base's is told from one that the base lacks."""
    alike = next(
        (alike for tail in tails(module) if "." in tail and (alike := _ending_in(tail, base))), []
    )
    if len(alike) == 1:
        return Reason(
            "prefix_mismatch",
            f"tensor {quoted(name)} should be named {quoted(PREFIX + alike[0])}...",
        )
    return Reason(
        "module_not_in_base", f"tensor {quoted(name)}: the base has no module {quoted(module)}"
    )


def _ending_in(tail: str, base: BaseShapes) -> list[str]:
    if tail not in base.tails:
        return []
    return [module for module in base.shapes if module == tail or module.endswith(f".{tail}")]
