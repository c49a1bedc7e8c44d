"""What a merge did: per tensor and in total, as values, as JSON and as a table. Computes from sums,
reads nothing.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rich.console import RenderableType

    from lorabay.merge.blocks import Tally
    from lorabay.merge.verification import Verification

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor that the adapter changed. Norms are Frobenius norms, the change before rounding.

    `faint`: the change is smaller than what one rounding to the dtype may do, so that much of it is
    lost.
    """

    name: str
    formula: str
    weight_norm: float
    change_norm: float
    changed_share: float
    faint: bool

    @property
    def ratio(self) -> float | None:
        """||ΔW|| / ||W||; None where W is zero, or new."""
        return self.change_norm / self.weight_norm if self.weight_norm else None

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class MergeReport:
    """A finished merge. `changed_share`: of all numbers of the tensors that the adapter touches."""

    output: Path
    base: str
    adapter: str
    adapter_digest: str
    format: str
    dtype: str
    size_bytes: int
    changed_share: float
    tensors: tuple[TensorChange, ...]
    untied: bool
    resumed: int
    seconds: float
    warnings: tuple[str, ...]
    verification: Verification | None

    @property
    def ratio(self) -> float:
        """||ΔW|| / ||W|| over all touched tensors together."""
        weight = math.sqrt(sum(change.weight_norm**2 for change in self.tensors))
        return (
            math.sqrt(sum(change.change_norm**2 for change in self.tensors)) / weight
            if weight
            else 0.0
        )

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        fields = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("tensors", "verification")
        }
        return {
            **fields,
            "output": str(self.output),
            "ratio": self.ratio,
            "tensors": [change.as_dict() for change in self.tensors],
            "verification": self.verification.as_dict() if self.verification else None,
        }

    def render(self) -> RenderableType:
        """For a terminal: the facts, then what to look at."""
        table = Table(
            show_header=False, title=f"Merged {self.adapter} into {self.base}", title_justify="left"
        )
        table.add_row("output", str(self.output))
        table.add_row("adapter", f"{self.format}, {self.adapter_digest[:12]}")
        table.add_row(
            "weights", f"{self.size_bytes / 1e9:.2f} GB, {self.dtype}, in {self.seconds:.1f} s"
        )
        table.add_row("tensors changed", f"{len(self.tensors)}, ||ΔW||/||W|| {self.ratio:.2%}")
        table.add_row("numbers changed in them", f"{self.changed_share:.1%}")
        table.add_row("head", "parted from the embedding" if self.untied else "as in the base")
        if self.resumed:
            table.add_row("files kept from an earlier run", str(self.resumed))
        if self.verification is not None:
            for what, figure in self.verification.rows():
                table.add_row(what, figure)
        else:
            table.add_row("verified", "no")
        return Group(
            table,
            *(Text.assemble(("warning:", "yellow"), f" {warning}") for warning in self.warnings),
        )


def faint_warnings(changes: tuple[TensorChange, ...], dtype: str) -> tuple[str, ...]:
    """One line for each of the first tensors whose change is below the rounding step, and how many
    more there are.
    """
    faint = [change for change in changes if change.faint]
    lines = [
        f"{change.name}: the change ({change.ratio or 0:.2e} of the weight) is below the rounding step of {dtype}; "
        f"{change.changed_share:.1%} of its numbers changed"
        for change in faint[:_SHOWN]
    ]
    if len(faint) > _SHOWN:
        lines.append(
            f"the same holds for {len(faint) - _SHOWN} more tensors; --dtype float32 keeps the change"
        )
    return tuple(lines)


def changes_of(
    tallies: Mapping[str, Tally], formulas: Mapping[str, str], roundoff: Mapping[str, float]
) -> tuple[TensorChange, ...]:
    """One entry for each tensor, in order of name."""
    found = []
    for name, tally in sorted(tallies.items()):
        weight, change = math.sqrt(tally.weight), math.sqrt(tally.change)
        share = tally.changed / tally.count if tally.count else 0.0
        faint = 0 < change < roundoff[name] * weight
        found.append(TensorChange(name, formulas[name], weight, change, share, faint))
    return tuple(found)
