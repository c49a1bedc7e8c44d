"""Judges adapter folders without a server, by the same rules as the server's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.composite import is_composite
from lorabay.catalog.composite_build import Assembly
from lorabay.catalog.names import name_problems
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.files.real_paths import real_path
from lorabay.reasons import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one folder holds: a spec when it is servable, every reason when it is not."""

    folder: Path
    spec: AdapterSpec | None
    reasons: tuple[Reason, ...]

    @property
    def servable(self) -> bool:
        """True when a server would serve the folder."""
        return self.spec is not None and not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Give the verdict as JSON values."""
        return {
            "folder": str(self.folder),
            "servable": self.servable,
            "spec": asdict(self.spec) if self.spec else None,
            "reasons": [asdict(reason) for reason in self.reasons],
        }


def check(folders: Sequence[Path], base: Path, *, max_rank: int) -> list[Verdict]:
    """Judge each folder against the base in `base`; raises SetupError when that is no base."""
    files = BaseFiles.open(base)
    shapes = BaseShapes.of(files, names=(base.name,))
    checks = Checks(shapes, max_rank, base_weights=BaseWeights.of(files))
    return [_judge(folder, checks) for folder in folders]


def _judge(folder: Path, checks: Checks) -> Verdict:
    problems = name_problems(_name(folder), frozenset(checks.base.names))
    result = _validate(folder, checks)
    if isinstance(result, Rejected):
        return Verdict(folder, None, (*problems, *result.brief.reasons))
    return Verdict(folder, result, problems)


def _name(folder: Path) -> str:
    try:
        return real_path(folder).name
    except SetupError:  # why it leads nowhere is told when it is read
        return folder.name


def _validate(folder: Path, checks: Checks) -> AdapterSpec | Rejected:
    if not is_composite(folder):
        return validate(folder, checks)
    roots = (real_path(folder), real_path(folder.absolute().parent))
    with TemporaryDirectory() as built:
        assembly = Assembly(checks.base, roots, checks.limits, weights=checks.base_weights)
        problem = assembly.take(folder.absolute(), Path(built))
        return problem or validate(Path(built), checks)


def render(verdicts: Sequence[Verdict]) -> Table:
    """Lay the verdicts out as a table, one line a reason."""
    table = Table("folder", "verdict", "format", "rank", "digest", "reasons and warnings")
    for verdict in verdicts:
        spec = verdict.spec
        remarks = [f"{reason.code}: {reason.text}" for reason in verdict.reasons]
        remarks += list(spec.warnings) if spec else []
        table.add_row(
            str(verdict.folder),
            "servable" if verdict.servable else "refused",
            spec.format if spec else "",
            str(spec.rank) if spec else "",
            spec.digest[:12] if spec else "",
            "\n".join(remarks),
        )
    return table
