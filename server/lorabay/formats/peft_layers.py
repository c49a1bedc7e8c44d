"""The PEFT types that have no formula here: PEFT's own layer computes the merged weight.

Sorts their tensors by module. PEFT itself checks the values.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from lorabay.algebra.updates import PeftLayer
from lorabay.formats.interface import Updates
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source

_SHARED_PREFIX = "base_model."


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return the names of the tensors that PEFT's layer of each module needs."""
    modules: defaultdict[str, list[str]] = defaultdict(list)
    shared: list[str] = []
    reasons: list[Reason] = []

    for tensor in source.tensors:
        # `base_model.model.<module>...` is of one module, `base_model.<name>` of all.
        is_of_module = tensor.name.startswith(PREFIX)
        module = _module(tensor.name.removeprefix(PREFIX), base)
        if is_of_module and module is not None:
            modules[module].append(source.stored_name(tensor))
        elif not is_of_module and tensor.name.startswith(_SHARED_PREFIX):
            shared.append(source.stored_name(tensor))
        else:
            text = f"tensor {quoted(tensor.name)} belongs to no module of the base"
            reasons.append(Reason("module_not_in_base", text))

    if not modules and not reasons:
        text = "the safetensors file holds no tensors of this format"
        reasons.append(Reason("no_tensors", text))
    if reasons:
        return rejected(reasons)

    by_tensor = {
        f"{module}.weight": (PeftLayer(module, tuple(names), tuple(shared)),)
        for module, names in modules.items()
    }
    return Updates(str(source.config["peft_type"]).lower(), 0, 1.0, by_tensor)


def _module(name: str, base: BaseShapes) -> str | None:
    """Return the module of the base whose name `name` begins with."""
    while name and name not in base.shapes:
        name = name.rpartition(".")[0]
    return name or None
