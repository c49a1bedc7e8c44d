"""`lorabay check`: judges adapter folders without a server, by the rules of a server.

Whoever calls knows the engine: its options, and which modules it adapts. This module does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.base.weights import BaseWeights
from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.admission import Checks, inspect
from lorabay.catalog.canonical import measure
from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.composite.composite_file import is_composite
from lorabay.catalog.defaults.defaults_json import as_json
from lorabay.catalog.names import backup_problems, name_problems
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.real_paths import both_forms, real_path
from lorabay.files.side_files import SIDE_FILES
from lorabay.reasons import Reason, Rejected


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one folder: the spec of its version, or every reason against it.

    `remarks` say what the verdict leaves open. `defaults` are what the folder says about the
    adapter's use, and the base does not.
    """

    folder: Path
    spec: AdapterSpec | None
    reasons: tuple[Reason, ...]
    remarks: tuple[str, ...] = ()
    defaults: AdapterDefaults = NO_DEFAULTS

    @property
    def servable(self) -> bool:
        """Whether a server would serve the folder under its name."""
        return self.spec is not None and not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON values."""
        return {
            "folder": str(self.folder),
            "servable": self.servable,
            "spec": asdict(self.spec) if self.spec else None,
            "reasons": [asdict(reason) for reason in self.reasons],
            "remarks": list(self.remarks),
            "defaults": as_json(self.defaults),
        }


Ask = Callable[[BaseShapes], Adapted | NotAsked]
"""A function that says which modules of a base the engine adapts."""


def check(
    folders: Sequence[Path],
    base: Path,
    *,
    max_rank: int,
    ask: Ask | None = None,
    target_modules: tuple[str, ...] | None = None,
    scales_outputs: bool = True,
    adapts_experts: bool = False,
    refuse_foreign_base: bool = False,
    approximate_error: float = 0.0,
    allowed_roots: tuple[Path, ...] = (),
) -> list[Verdict]:
    """Return a verdict on each folder, as an adapter of the model in `base`.

    `ask` is called once; without an answer the verdicts rest on the option `target_modules`, and
    say so. `scales_outputs` is whether the engine does that, which DoRA needs, and `adapts_experts`
    whether it adapts the experts of a mixture. The other rules are the settings of their names; a
    folder is taken to lie in the adapter directory, or where it will be moved from.
    Raise SetupError if `base` does not hold a model.
    """
    files = BaseFiles.open(base)
    shapes = with_hidden_shapes(files, BaseShapes.of(files, names=(base.name,)))
    answer = ask(shapes) if ask else None

    checks = Checks(
        shapes,
        max_rank,
        base_weights=BaseWeights.of(files),
        scales_outputs=scales_outputs,
        refuse_foreign_base=refuse_foreign_base,
        approximate_error=approximate_error,
        target_modules=target_modules,
        adapts_experts=adapts_experts,
        adapted=answer if isinstance(answer, Adapted) else None,
        tokenizer=BaseTokenizer(base),
    )
    remarks = (answer.sentence,) if isinstance(answer, NotAsked) else ()
    return [
        _verdict(folder, checks, (*remarks, *_links_away(folder, allowed_roots)))
        for folder in folders
    ]


def _verdict(folder: Path, checks: Checks, remarks: tuple[str, ...]) -> Verdict:
    # A server would refuse the name as well as the weights.
    name = _name(folder)
    problems = (*name_problems(name, frozenset(checks.base.names)), *backup_problems(name))
    result = _validate(folder, checks)
    if isinstance(result, Rejected):
        return Verdict(folder, None, (*problems, *result.brief.reasons))
    spec, defaults = result
    return Verdict(folder, spec, problems, remarks, defaults)


def _name(folder: Path) -> str:
    """Return the name that a server would give: the folder's own, wherever a link leads."""
    return _written(folder).name


def _written(path: Path) -> Path:
    """Return a path as an absolute one, with its links."""
    return Path(os.path.normpath(path.absolute()))


def _links_away(folder: Path, allowed: tuple[Path, ...]) -> Iterator[str]:
    """Yield a remark if a server would take the folder's links only with another setting."""
    files = [folder / name for name in (CONFIG_FILE, WEIGHTS_FILE, *SIDE_FILES)]
    try:
        roots = both_forms((_written(folder).parent, *allowed))
        real = [real_path(path) for path in (folder, *files) if path.exists()]
    except (OSError, SetupError):
        # Reading the folder reports why its links lead nowhere.
        return

    for path in real:
        if not any(path.is_relative_to(root) for root in roots):
            yield (
                f"a link leads to {path}: a server takes it with "
                f"--allowed-roots {path.parent}, or copy the folder with `cp -rL`"
            )
            return


def _validate(folder: Path, checks: Checks) -> tuple[AdapterSpec, AdapterDefaults] | Rejected:
    """Validate the adapter in `folder`; a composite is built in a temporary folder first."""
    if not is_composite(folder):
        return _validate_adapter(folder, checks)

    here = folder.absolute()
    roots = (here.parent, real_path(here.parent), real_path(here))
    with TemporaryDirectory() as built:
        assembly = Assembly(checks.base, roots, checks.limits, weights=checks.base_weights)
        problem = assembly.take(here, Path(built))
        return problem or _validate_adapter(Path(built), checks)


def _validate_adapter(
    folder: Path, checks: Checks
) -> tuple[AdapterSpec, AdapterDefaults] | Rejected:
    canonical = inspect(folder, checks)
    if isinstance(canonical, Rejected):
        return canonical
    spec = measure(canonical)
    return spec if isinstance(spec, Rejected) else (spec, canonical.defaults)


def render(verdicts: Sequence[Verdict]) -> Table:
    """Return the verdicts as a table with a row for each folder."""
    table = Table("folder", "verdict", "format", "rank", "digest", "reasons and warnings")
    for verdict in verdicts:
        spec = verdict.spec
        remarks = [f"{reason.code}: {reason.text}" for reason in verdict.reasons]
        if spec is not None:
            remarks += spec.warnings
        remarks += verdict.remarks
        if verdict.defaults != NO_DEFAULTS:
            remarks.append(f"its own: {', '.join(as_json(verdict.defaults))}")

        table.add_row(
            str(verdict.folder),
            "servable" if verdict.servable else "refused",
            spec.format if spec else "",
            str(spec.rank) if spec else "",
            spec.digest[:12] if spec else "",
            "\n".join(remarks),
        )
    return table
