"""A refusal on one line: every module by its name, those that differ only in the layer together."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.reasons import Rejected

_LAYER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")


def told(rejected: Rejected) -> str:
    """All reasons as one line."""
    return "; ".join(sentences(rejected))


def sentences(rejected: Rejected) -> tuple[str, ...]:
    """The reasons in order, each group where its first is."""
    groups: dict[tuple[str, str], set[int]] = {}
    for reason in rejected.reasons:
        found = _LAYER.search(reason.text)
        start, end = found.span() if found else (len(reason.text), len(reason.text))
        layers = groups.setdefault((reason.text[:start], reason.text[end:]), set())
        layers.update([int(found[0])] if found else [])
    return tuple(f"{before}{_ranges(layers)}{after}" for (before, after), layers in groups.items())


def _ranges(numbers: Iterable[int]) -> str:
    """`7`, or `{0-3,5}` for several."""
    ordered = sorted(numbers)
    if len(ordered) < 2:
        return "".join(map(str, ordered))
    breaks = [place for place, (one, two) in enumerate(pairwise(ordered), 1) if two != one + 1]
    runs = [ordered[begin:end] for begin, end in pairwise([0, *breaks, len(ordered)])]
    return (
        "{"
        + ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
        + "}"
    )
