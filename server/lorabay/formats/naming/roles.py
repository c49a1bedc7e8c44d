"""The role of a tensor in its module, such as `lora_A.weight`, as PEFT's saved files name it.

A model in memory holds one tensor for each of its adapters, under the adapter's name. PEFT leaves
that name out of its files, and other writers leave it in. Knows nothing of modules.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FACTORS = (
    r"(lora|vera_lambda|hada|lokr|ia3|oft|boft|hra|c3a|miss|fourierft|randlora|vblora|shira|road"
    r"|delora|gralora|hira|waveft)_\w+"
)
_FACTOR = re.compile(_FACTORS)
_HOLDER = re.compile(rf"{_FACTORS}|ranknum|trainable_tokens_delta|modules_to_save")
"""What holds one tensor for each adapter of a model; the adapter's name follows."""

_PLAIN_ENDS = frozenset({"weight", "bias"})
_LORA = frozenset({"lora_A", "lora_B"})

_MAGNITUDE = ["lora_magnitude_vector", "weight"]
"""PEFT saves this one without the end that it has in the model."""


def is_factor(role: str) -> bool:
    """Return whether a tensor is a factor of a change, and not a whole tensor of its own."""
    return _FACTOR.match(role) is not None


def adapter_name(roles: Iterable[str]) -> str | None:
    """Return the adapter's name in PEFT that stands in all roles, if it is one and the same."""
    names: set[str | None] = set()
    for role in roles:
        parts = role.split(".")
        holder = _place_of_holder(parts)
        if holder is not None:
            names.add(_name_behind(holder, parts))

    if len(names) != 1:
        return None
    name = names.pop()
    # A number is a place in a list of modules.
    return None if name is None or name.isdigit() else name


def without_adapter(role: str, adapter: str | None) -> str:
    """Return a role without the adapter's name in it."""
    kept: list[str] = []
    for part in role.split("."):
        # What was saved and loaded by hand may have the name twice.
        is_name = part == adapter and bool(kept) and _HOLDER.fullmatch(kept[-1]) is not None
        if not is_name:
            kept.append(part)

    if kept[-2:] == _MAGNITUDE:
        kept.pop()
    return ".".join(kept)


def lack_their_ends(roles: Iterable[str]) -> bool:
    """Return whether the factors are named as loralib does, which has no `.weight` behind them.

    Nor does AdaLoRA in PEFT, which has one factor more.
    """
    lasts = {role.rpartition(".")[2] for role in roles}
    return not lasts.isdisjoint(_LORA) and "lora_E" not in lasts


def with_its_end(role: str) -> str:
    """Return a role that lacks its end as PEFT has it."""
    return f"{role}.weight" if role in _LORA else role


def _place_of_holder(parts: Sequence[str]) -> int | None:
    for place, part in enumerate(parts):
        if _HOLDER.fullmatch(part):
            return place
    return None


def _name_behind(holder: int, parts: Sequence[str]) -> str | None:
    if holder + 1 == len(parts):
        return None
    name = parts[holder + 1]
    return None if name in _PLAIN_ENDS else name
