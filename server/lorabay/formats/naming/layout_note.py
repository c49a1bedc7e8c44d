"""The note on an adapter whose names were mapped to the base's: one sentence for people."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lorabay.formats.naming.named_tensors import NamedTensor

_SHOWN = 2
"""Differences that are told, the most frequent first."""


def layout_note(named: Iterable[NamedTensor], *, mapped: int) -> str:
    """Return which names were mapped, and to what; `mapped` is the number of tensors."""
    differences: Counter[tuple[str, str]] = Counter()
    for tensor in named:
        old, new = tensor.found.name, PREFIX + tensor.module
        if old != new:
            differences[_difference(old, new)] += 1

    shown = [f"{old} is {new}" for (old, new), _ in differences.most_common(_SHOWN)]
    if len(differences) > _SHOWN:
        shown.append(f"and {len(differences) - _SHOWN} more")
    what = ", ".join(shown) or "their ends are written as PEFT writes them"
    return f"{mapped} tensors are named in another way than the base and were mapped: {what}"


def _difference(old: str, new: str) -> tuple[str, str]:
    """Return both names up to where they begin to agree, with N for numbers."""
    old_parts, new_parts = old.split("."), new.split(".")
    # One part more than the difference says where it ends.
    cut = max(_common_end(old_parts, new_parts) - 1, 0)
    return (
        _shown(old_parts[: len(old_parts) - cut]),
        _shown(new_parts[: len(new_parts) - cut]),
    )


def _common_end(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts at the end are the same."""
    common = 0
    for part, other_part in zip(reversed(one), reversed(other), strict=False):
        if part != other_part:
            break
        common += 1
    return common


def _shown(parts: Sequence[str]) -> str:
    return quoted(".".join("N" if part.isdigit() else part for part in parts))
