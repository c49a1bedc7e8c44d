"""What an adapter does to each tensor of its base, measured one at a time; or what its header alone
tells of them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.formats.tensor_names import PREFIX
from lorabay.tools.inspection.norms import change_norm, weight_norm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.tools.inspection.opened import Misfit, Opened

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")
_FIRST_FACTORS = (".lora_A.weight", ".lora_embedding_A")


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """`alpha` is None where the format has none; `ratio` is ||ΔW|| / ||W||, None where one cannot
    be measured.
    """

    name: str
    rank: int | None
    alpha: float | None
    norm: float | None
    ratio: float | None

    @property
    def place(self) -> tuple[int | None, str]:
        """Layer, and the module's name in it."""
        found = _LAYER.search(self.name)
        return layer_of(self.name), self.name.removesuffix(".weight")[found.end() if found else 0 :]


def in_order(names: Iterable[str]) -> list[str]:
    """By layer, those that are in none last, then by name."""
    return sorted(names, key=lambda name: (layer_of(name) is None, layer_of(name) or 0, name))


def layer_of(name: str) -> int | None:
    """The number of the layer that a weight is in."""
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def measured(opened: Opened) -> tuple[ModuleFacts, ...]:
    """Every tensor that the adapter changes. Raises SetupError when it changes meanwhile."""
    return tuple(_module(name, opened) for name in in_order(opened.found.updates))


def _module(name: str, opened: Opened) -> ModuleFacts:
    updates = opened.found.updates[name]
    norm, whole = change_norm(updates, opened.weights, name), weight_norm(opened.weights, name)
    ratio = norm / whole if norm is not None and whole else None
    rank, alpha = rank_and_alpha(updates, opened.found.config)
    return ModuleFacts(name, rank, alpha, norm, ratio)


def rank_and_alpha(
    updates: tuple[Update, ...], config: Mapping[str, object]
) -> tuple[int | None, float | None]:
    """Of the module's product, if it has one; alpha only where the format is LoRA."""
    products = (update.low_rank for update in updates)
    product = next(filter(None, products), None)
    if product is None or config.get("peft_type") != "LORA":
        return (product.rank if product else None), None
    return product.rank, product.scale * (
        math.sqrt(product.rank) if config.get("use_rslora") else product.rank
    )


def outlined(misfit: Misfit) -> tuple[ModuleFacts, ...]:
    """Every tensor of the base that the adapter's file has something for; nothing is measured."""
    ranks: dict[str, int | None] = {}
    for tensor in misfit.tensors:
        if tensor.name.startswith(PREFIX):
            ranks.setdefault(
                name := _changed(tensor.name.removeprefix(PREFIX), misfit.shapes), None
            )
            # LoRA on bare parameters has the factors of all experts in one tensor.
            if (
                tensor.name.endswith(_FIRST_FACTORS)
                and tensor.shape
                and not misfit.config.get("target_parameters")
            ):
                ranks[name] = tensor.shape[0]
    alpha = _alpha(misfit.config)
    return tuple(
        ModuleFacts(name, ranks[name], ranks[name] and alpha, None, None)
        for name in in_order(ranks)
    )


def _changed(name: str, base: BaseShapes) -> str:
    """The tensor that one of the adapter's is for: of a module of the base, or of what lies around
    the last part.
    """
    if name in base.tensors:
        return name
    module = name
    while module and module not in base.shapes:
        module = module.rpartition(".")[0]
    return f"{module or name.removesuffix('.weight').rpartition('.')[0]}.weight"


def _alpha(config: Mapping[str, object]) -> float | None:
    """Of all modules."""
    alpha = config.get("lora_alpha")
    plain = config.get("peft_type") == "LORA" and not config.get("alpha_pattern")
    return float(alpha) if plain and isinstance(alpha, int | float) else None
