"""What a merge did: per tensor and in total, as values, as a table, and as `merge.json`.

The numbers are computed from the sums over each tensor; no weights are read here.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lorabay.base.files import CONFIG
from lorabay.files.rounding import UNIT_ROUNDOFF
from lorabay.merge.blocks import Tally
from lorabay.merge.job import LAYOUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from lorabay.algebra.updates import Update
    from lorabay.merge.job import Job
    from lorabay.merge.tensors import Target
    from lorabay.merge.verify.verification import Verification

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class TensorChange:
    """One tensor that the adapter changed. Norms are Frobenius norms."""

    name: str
    formula: str
    weight_norm: float

    change_norm: float
    """Norm of the change before it is rounded."""

    changed_share: float
    """Share of the tensor's numbers that differ from the base's, from 0 to 1."""

    faint: bool
    """Whether rounding to the dtype may move the tensor further than the change, and lose it."""

    @property
    def ratio(self) -> float | None:
        """||ΔW|| / ||W||; None where W is zero or new."""
        return self.change_norm / self.weight_norm if self.weight_norm else None

    @classmethod
    def of(cls, target: Target, tally: Tally) -> Self:
        """Return the change of `target` from the sums over its numbers."""
        weight_norm = math.sqrt(tally.weight)
        change_norm = math.sqrt(tally.change)

        return cls(
            name=target.name,
            formula=formula(target.updates),
            weight_norm=weight_norm,
            change_norm=change_norm,
            changed_share=_share(tally),
            faint=0 < change_norm < UNIT_ROUNDOFF[target.dtype] * weight_norm,
        )

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class MergeReport:
    """A merge that is done."""

    output: Path
    base: str
    adapter: str
    adapter_digest: str
    format: str
    dtype: str
    size_bytes: int

    changed_share: float
    """Share of changed numbers in all tensors that the adapter touches, from 0 to 1."""

    tensors: tuple[TensorChange, ...]

    untied: bool
    """Whether the head was tied to the embedding and no longer is."""

    adapter_files: tuple[str, ...]
    """Tokenizer, templates and generation config that are the adapter's own."""

    end_tokens: tuple[int, ...]
    """Tokens that end a turn because the adapter says so; empty if the base's do."""

    resumed: int
    """Weights files that were kept from an earlier run."""

    seconds: float
    warnings: tuple[str, ...]
    verification: Verification | None

    @property
    def ratio(self) -> float:
        """||ΔW|| / ||W|| over all touched tensors together; 0 if they are all zero."""
        weight = math.sqrt(sum(change.weight_norm**2 for change in self.tensors))
        moved = math.sqrt(sum(change.change_norm**2 for change in self.tensors))
        return moved / weight if weight else 0.0

    @classmethod
    def of(cls, job: Job, tallies: Mapping[str, Tally], resumed: int) -> Self:
        """Return the report of `job` from the tallies of its tensors, unverified and untimed."""
        targets = sorted(job.plan.changed, key=lambda target: target.name)
        total = Tally()
        changes = []
        for target in targets:
            tally = tallies.get(target.name, Tally())
            total = total.plus(tally)
            changes.append(TensorChange.of(target, tally))

        return cls(
            output=job.settings.output,
            base=job.base_name,
            adapter=job.adapter.name,
            adapter_digest=job.digest,
            format=job.updates.format,
            dtype=job.dtype,
            size_bytes=job.plan.size,
            changed_share=_share(total),
            tensors=tuple(changes),
            untied=job.plan.untied,
            adapter_files=job.adapter_files,
            end_tokens=job.end_tokens,
            resumed=resumed,
            seconds=0.0,
            warnings=(*job.warnings, *_faint_warnings(changes, job.dtype)),
            verification=None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        values: dict[str, Any] = {}
        for field in fields(self):
            values[field.name] = getattr(self, field.name)

        values["output"] = str(self.output)
        values["ratio"] = self.ratio
        values["tensors"] = [change.as_dict() for change in self.tensors]
        values["verification"] = self.verified
        return values

    @property
    def verified(self) -> dict[str, Any] | None:
        """What the verification found, as JSON values; None without one."""
        return self.verification.as_dict() if self.verification else None

    def render(self) -> RenderableType:
        """Return the report for a terminal: a table, then the warnings."""
        title = f"Merged {self.adapter} into {self.base}"
        table = Table(show_header=False, title=title, title_justify="left")
        for name, value in self._rows():
            table.add_row(name, value)

        return Group(table, *map(_warning, self.warnings))

    def _rows(self) -> list[tuple[str, str]]:
        size = f"{self.size_bytes / 1e9:.2f} GB, {self.dtype}, in {self.seconds:.1f} s"
        rows = [
            ("output", str(self.output)),
            ("adapter", f"{self.format}, {self.adapter_digest[:12]}"),
            ("weights", size),
            ("tensors changed", f"{len(self.tensors)}, ||ΔW||/||W|| {self.ratio:.2%}"),
            ("numbers changed in them", f"{self.changed_share:.1%}"),
            ("head", "parted from the embedding" if self.untied else "as in the base"),
        ]

        if self.adapter_files:
            rows.append(("files of the adapter", ", ".join(self.adapter_files)))
        if self.end_tokens:
            rows.append(("end tokens of the adapter", ", ".join(map(str, self.end_tokens))))
        if self.resumed:
            rows.append(("files kept from an earlier run", str(self.resumed)))
        if self.verification is None:
            rows.append(("verified", "no"))
        else:
            rows += self.verification.rows()
        return rows


def _warning(line: str) -> Text:
    return Text.assemble(("warning:", "yellow"), f" {line}")


def formula(updates: Sequence[Update]) -> str:
    """Return the formulas of the updates of one tensor, in the order in which they are applied."""
    return ", then ".join(update.formula for update in updates)


def provenance(report: MergeReport, job: Job, folder: Path) -> str:
    """Return the text of `merge.json`, with which anyone can check the result or make it again.

    `folder` holds all other files of the result. The same inputs give the same text: it contains no
    time and no path of the machine.
    """
    document = {
        "layout": LAYOUT,
        "tool": {"name": "lorabay", "version": version("lorabay")},
        "base": {
            "name": report.base,
            "files": _sizes(job.base.folder, [file.name for file in job.base.files]),
            "quantised": job.dense.method,
        },
        "adapter": {
            "name": report.adapter,
            "sha256": report.adapter_digest,
            "format": job.updates.format,
            "rank": job.updates.rank,
            "alpha": job.updates.alpha,
            "trained_on": job.updates.base_model,
        },
        "arithmetic": job.arithmetic,
        "dtype": report.dtype,
        "quantised": job.dense.method if job.dense.keeps_packing else None,
        "head_untied": report.untied,
        "adapter_files": list(report.adapter_files),
        "end_tokens": list(report.end_tokens),
        "changed_share": report.changed_share,
        "change_ratio": report.ratio,
        "tensors": _provenance_of(report.tensors),
        "warnings": list(report.warnings),
        "verification": report.verified,
        "files": _sizes(folder, sorted(_result_files(job))),
    }
    return json.dumps(document, indent=2) + "\n"


def _provenance_of(changes: Sequence[TensorChange]) -> dict[str, dict[str, object]]:
    """Return name -> what is known of the change, for each tensor."""
    provenance: dict[str, dict[str, object]] = {}
    for change in changes:
        provenance[change.name] = {
            "formula": change.formula,
            "weight_norm": change.weight_norm,
            "change_norm": change.change_norm,
            "ratio": change.ratio,
            "changed_share": change.changed_share,
        }
    return provenance


def _result_files(job: Job) -> set[str]:
    return {*job.plan.files, *job.side_files, CONFIG}


def _sizes(folder: Path, names: Iterable[str]) -> dict[str, int]:
    """Return name -> size in bytes of files in `folder`."""
    return {name: (folder / name).stat().st_size for name in names}


def _share(tally: Tally) -> float:
    return tally.changed / tally.count if tally.count else 0.0


def _faint_warnings(changes: Sequence[TensorChange], dtype: str) -> list[str]:
    """Return a line for each of the first faint changes, and one that counts the others."""
    faint = [change for change in changes if change.faint]
    lines = []
    for change in faint[:_SHOWN]:
        lines.append(
            f"{change.name}: the change ({change.ratio or 0:.2e} of the weight) is below the "
            f"rounding step of {dtype}; {change.changed_share:.1%} of its numbers changed"
        )

    others = len(faint) - _SHOWN
    if others > 0:
        lines.append(f"the same holds for {others} more tensors; --dtype float32 keeps the change")
    return lines
