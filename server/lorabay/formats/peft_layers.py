"""The PEFT types that change weights in a way for which there is no formula here: PEFT's own layer
does it.

Sorts their tensors by module; PEFT itself checks what they hold.
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

TYPES = ("BOFT", "C3A", "DELORA", "FOURIERFT", "GRALORA", "HIRA", "HRA", "MISS", "OFT", "RANDLORA", "ROAD", "SHIRA",
         "VBLORA", "WAVEFT")  # fmt: skip

_SHARED_PREFIX = "base_model."


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    modules: defaultdict[str, list[str]] = defaultdict(list)
    shared: list[str] = []
    reasons: list[Reason] = []
    for tensor in source.tensors:
        module = _module(tensor.name.removeprefix(PREFIX), base)
        if tensor.name.startswith(PREFIX) and module is not None:
            modules[module].append(tensor.name)
        elif tensor.name.startswith(_SHARED_PREFIX) and not tensor.name.startswith(PREFIX):
            shared.append(tensor.name)
        else:
            reasons.append(
                Reason(
                    "module_not_in_base",
                    f"tensor {quoted(tensor.name)} belongs to no module of the base",
                )
            )
    if not modules and not reasons:
        reasons.append(Reason("no_tensors", "the safetensors file holds no tensors of this format"))
    if reasons:
        return rejected(reasons)
    by_tensor = {
        f"{module}.weight": (PeftLayer(module, tuple(names), tuple(shared)),)
        for module, names in modules.items()
    }
    return Updates(str(source.config["peft_type"]).lower(), 0, 1.0, by_tensor)


def _module(name: str, base: BaseShapes) -> str | None:
    while name and name not in base.shapes:
        name = name.rpartition(".")[0]
    return name or None
