"""The effects of an adapter on each tensor of its base, measured one at a time.

For an adapter that does not fit, only the tensors are listed: its header names them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.algebra.updates import ExpertProducts
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
    """Facts about one tensor of the base that an adapter changes."""

    name: str
    rank: int | None

    alpha: float | None
    """LoRA's alpha; None for other formats."""

    norm: float | None
    """||ΔW||; None if it cannot be measured."""

    ratio: float | None
    """||ΔW|| / ||W||; None if one of them cannot be measured."""

    @property
    def place(self) -> tuple[int | None, str]:
        """Number of the layer, and the module's name in it."""
        return place_of(self.name)


def place_of(name: str) -> tuple[int | None, str]:
    """Return the number of the layer that a weight is in, and the module's name in it."""
    match = _LAYER.search(name)
    module = name.removesuffix(".weight")
    if match is None:
        return None, module
    return int(match[1]), module[match.end() :]


def layer_of(name: str) -> int | None:
    """Return the number of the layer that a weight is in; None if it is in none."""
    match = _LAYER.search(name)
    return None if match is None else int(match[1])


def in_order(names: Iterable[str]) -> list[str]:
    """Return names by layer and then by themselves; names outside of layers come last."""

    def key(name: str) -> tuple[bool, int, str]:
        layer = layer_of(name)
        return layer is None, layer or 0, name

    return sorted(names, key=key)


def measured(opened: Opened) -> tuple[ModuleFacts, ...]:
    """Return facts about every tensor that the adapter changes.

    Raise SetupError if a file changes meanwhile.
    """
    return tuple(_measure(name, opened) for name in in_order(opened.updates.updates))


def _measure(name: str, opened: Opened) -> ModuleFacts:
    updates = opened.updates.updates[name]
    change = change_norm(updates, opened.weights, name)
    weight = weight_norm(opened.weights, name)

    ratio = change / weight if change is not None and weight else None
    rank, alpha = rank_and_alpha(updates, opened.updates.config)
    return ModuleFacts(name, rank, alpha, change, ratio)


def rank_and_alpha(
    updates: tuple[Update, ...], config: Mapping[str, object]
) -> tuple[int | None, float | None]:
    """Return rank and alpha of the product inside the updates.

    Without a product there is no rank, and other formats than LoRA have no alpha.
    """
    rank, scale = _rank_and_scale(updates)
    if rank is None or scale is None:
        return None, None
    if config.get("peft_type") != "LORA":
        return rank, None

    divisor = math.sqrt(rank) if config.get("use_rslora") else rank
    return rank, scale * divisor


def _rank_and_scale(updates: tuple[Update, ...]) -> tuple[int | None, float | None]:
    """Return rank and scale of the first factors inside the updates."""
    for update in updates:
        if isinstance(update, ExpertProducts):
            return update.rank, update.scale
        if update.low_rank is not None:
            return update.low_rank.rank, update.low_rank.scale
    return None, None


def outlined(misfit: Misfit) -> tuple[ModuleFacts, ...]:
    """Return every tensor of the base that the adapter's file names; nothing is measured."""
    # LoRA on bare parameters has the factors of all experts in one tensor.
    has_ranks = not misfit.config.get("target_parameters")

    ranks: dict[str, int | None] = {}
    for tensor in misfit.tensors:
        if not tensor.name.startswith(PREFIX):
            continue
        name = _base_tensor(tensor.name.removeprefix(PREFIX), misfit.shapes)
        ranks.setdefault(name, None)
        if tensor.name.endswith(_FIRST_FACTORS) and tensor.shape and has_ranks:
            ranks[name] = tensor.shape[0]

    alpha = _common_alpha(misfit.config)
    facts = []
    for name in in_order(ranks):
        rank = ranks[name]
        facts.append(ModuleFacts(name, rank, rank and alpha, None, None))
    return tuple(facts)


def _base_tensor(name: str, base: BaseShapes) -> str:
    """Return the tensor of the base that a tensor of the adapter belongs to.

    It is that of a module of the base; if none fits, the name without its last part.
    """
    if name in base.tensors:
        return name

    module = name
    while module and module not in base.shapes:
        module = module.rpartition(".")[0]
    if not module:
        module = name.removesuffix(".weight").rpartition(".")[0]
    return f"{module}.weight"


def _common_alpha(config: Mapping[str, object]) -> float | None:
    """Return the alpha of all modules; None if they need not have the same."""
    alpha = config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or config.get("alpha_pattern"):
        return None
    return float(alpha) if isinstance(alpha, int | float) else None
