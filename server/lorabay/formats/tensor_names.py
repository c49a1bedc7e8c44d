"""Sorts an adapter's tensors by module of the base and role in it.

Names are PEFT's, on the base's own layout: `base_model.model.<module>.<role>`; `module_names` made
them so. Every tensor that belongs nowhere is a problem. Reads no values and knows no format.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.files.tensors import DTYPE_NAMES
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.safetensors_header import TensorInfo

PREFIX = "base_model.model."

_OTHER_HEAD = re.compile(
    r"(?:^|\.)(?:score|classifier|qa_outputs|v_head|value_head|reward_head|medusa_heads?)\."
)
"""Marks tensors of classifiers, reward models and models that predict several tokens."""

NOT_GATHERED = (
    "DeepSpeed ZeRO-3 and FSDP save such a file where the weights are not gathered: save the "
    "adapter again, gathered"
)

Roles = dict[str, "TensorInfo"]
"""The tensors of one module by role, such as `lora_A.weight`."""


@dataclass(frozen=True, slots=True)
class ModuleTensors:
    """Module of the base -> its tensors by role, and a problem for every other tensor."""

    modules: Mapping[str, Roles]
    problems: tuple[Reason, ...]


def unexpected(tensor: TensorInfo, hint: str = "") -> Reason:
    """Return the reason for a tensor that is none of a format's, with a hint at why."""
    if _OTHER_HEAD.search(tensor.name):
        hint = "it is of a head that this base does not have; serve it on a base with one"
    colon = ": " if hint else ""
    return Reason("unexpected_tensor", f"unexpected tensor {quoted(tensor.name)}{colon}{hint}")


def by_module(
    tensors: Iterable[TensorInfo],
    roles: Iterable[str],
    base: BaseShapes,
    explain: Callable[[TensorInfo], Reason] = unexpected,
    kind: str = "tensors of this format",
) -> ModuleTensors:
    """Sort `tensors`, each of which must be one of `roles` of a module of the base.

    `explain` returns the reason for a tensor with another role. `kind` names the tensors in the
    reason for a file without any.
    """
    # A role is the end of a name: modules may have any name before it.
    suffixes = tuple(f".{role}" for role in roles)
    modules: defaultdict[str, Roles] = defaultdict(dict)
    problems: list[Reason] = []

    for tensor in tensors:
        suffix = next((suffix for suffix in suffixes if tensor.name.endswith(suffix)), None)
        if suffix is None:
            problems.append(explain(tensor))
            continue
        module = tensor.name.removeprefix(PREFIX).removesuffix(suffix)
        if module not in base.shapes or not tensor.name.startswith(PREFIX):
            problems.append(_not_in_base(tensor.name, module))
            continue
        problems += dtype_problems(tensor)
        modules[module][suffix[1:]] = tensor

    if not modules and not problems:
        problems.append(
            Reason("no_tensors", f"the safetensors file holds no {kind}; {NOT_GATHERED}")
        )
    return ModuleTensors(dict(sorted(modules.items())), tuple(problems))


def dtype_problems(tensor: TensorInfo) -> Iterator[Reason]:
    """Check that the tensor holds floating-point numbers that adapters are served in."""
    if tensor.dtype not in DTYPE_NAMES:
        known = ", ".join(DTYPE_NAMES.values())
        text = f"{quoted(tensor.name)} is {tensor.dtype}; save the adapter in one of: {known}"
        yield Reason("dtype", text)


def missing_roles(module: str, roles: Roles, wanted: Iterable[str]) -> Iterator[Reason]:
    """Check that the module has a tensor for every wanted role."""
    absent = sorted(set(wanted) - roles.keys())
    if absent:
        text = f"module {quoted(module)} lacks {quoted(absent)}; save the adapter again"
        yield Reason("missing_tensor", text)


def shape_problem(tensor: TensorInfo, expected: tuple[int, ...]) -> Iterator[Reason]:
    """Check the shape of one tensor."""
    if tensor.shape != expected:
        text = f"{quoted(tensor.name)} has shape {tensor.shape}; expected is {expected}"
        yield Reason("shape", text)


def product_problems(
    module: str, outputs: int, inputs: int, shape: Shape | None
) -> Iterator[Reason]:
    """Check that a module's update has the shape of its weight, where that is known."""
    if shape is not None and shape != (outputs, inputs):
        text = (
            f"module {quoted(module)} of the adapter takes {inputs} inputs and gives {outputs} "
            f"outputs; the base has {shape[1]} and {shape[0]}"
        )
        yield Reason("shape", text)


def _not_in_base(name: str, module: str) -> Reason:
    text = f"tensor {quoted(name)}: the base has no module {quoted(module)}"
    return Reason("module_not_in_base", text)
