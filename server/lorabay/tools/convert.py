"""`lorabay convert`: an adapter of any format as plain LoRA, or LoRA of a smaller rank.

The result is exact where algebra allows it and no smaller rank is asked for. Otherwise it is the
best product of the rank, with its error for each module and in total. One module is in memory at a
time.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lorabay.algebra.low_rank import Rule
from lorabay.algebra.updates import LowRank, ReplacedRows
from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes, is_embedding
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from lorabay.files.durable import new_folder
from lorabay.files.real_paths import real_path
from lorabay.formats.base_copies import Comparison
from lorabay.formats.foreign import read_foreign
from lorabay.formats.writer import LoraFolder
from lorabay.progress import progress_bar
from lorabay.reasons import Reason, Rejected, quoted, rejected
from lorabay.tools.converted_weights import converted_weight, experts_of
from lorabay.tools.find_adapter import LIMITS, ChosenAdapter, with_base_warning
from lorabay.tools.pickles import without_pickled_adapter
from lorabay.tools.split_weights import with_joined_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.formats.reading import AdapterUpdates

DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""Values of `--dtype`: name -> name in safetensors."""

REPORT_FILE = "conversion.json"
DEFAULT_ERROR = 0.1


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """How to convert: to one rank, to a share of the squared norm, or exactly where possible."""

    rank: int | None = None
    """Largest rank of a module."""

    energy: float | None = None
    """Share of each module's squared norm to keep, from 0 to 1."""

    max_error: float | None = None
    """Largest relative error in total; None means 0.1, or what `energy` gives up."""

    dtype: str = "float32"

    initial: Path | None = None
    """Folder of the adapter as it was initialised, if that changed the base."""

    residual_base: bool = False
    """Whether the base is the one that the initialisation left."""

    allow_pickle: bool = False
    """Whether weights may be pickles, which are read without running code."""

    @property
    def rule(self) -> Rule | None:
        """Rule that every module is cut by; None keeps products that are exact."""
        if self.rank is None and self.energy is None:
            return None
        return Rule(self.rank, 1.0 if self.energy is None else self.energy)

    @property
    def allowed_error(self) -> float:
        """Largest relative error in total."""
        if self.max_error is not None:
            return self.max_error
        lost = 0.0 if self.energy is None else math.sqrt(max(0.0, 1 - self.energy))
        return max(DEFAULT_ERROR, lost * (1 + 1e-6))


@dataclass(frozen=True, slots=True)
class _Base:
    """The base that an adapter is converted for."""

    folder: Path
    shapes: BaseShapes
    weights: BaseWeights

    @classmethod
    def at(cls, folder: Path) -> _Base:
        """Open a base folder. Raise SetupError if it holds no model."""
        name = real_path(folder).name
        files = BaseFiles.open(folder)
        shapes = with_hidden_shapes(files, BaseShapes.of(files, names=(name,)))
        return cls(folder, shapes, BaseWeights.of(files))


@dataclass(frozen=True, slots=True)
class ConvertedModule:
    """One module of the result."""

    module: str
    rank: int

    error: float
    """Norm of the part of the old change that the new one lacks, over the norm of the old one."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A conversion that was written."""

    source: str
    format: str
    output: str
    dtype: str
    rank: int

    error: float
    """Relative error of the change in total; 0 is exact up to the rounding of `dtype`."""

    size_bytes: int
    modules: tuple[ConvertedModule, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether nothing was cut."""
        return self.error == 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self) | {"exact": self.exact}

    def table(self) -> Group:
        """Return a table with a row for each module and one for all, then the warnings."""
        table = Table("module", "rank", "error")
        for module in self.modules:
            error = f"{module.error:.2e}" if module.error else "exact"
            table.add_row(module.module, str(module.rank), error)

        total = "exact" if self.exact else f"{self.error:.2e}"
        table.add_row(f"all, from {self.format}", str(self.rank), total, style="bold")

        warnings = [Text.assemble(("warning:", "yellow"), f" {line}") for line in self.warnings]
        return Group(table, *warnings)


def convert(adapter: Path, base: Path, output: Path, settings: ConvertSettings) -> Conversion:
    """Write the adapter in the folder `adapter` as plain LoRA into `output`.

    It may be in another trainer's own format. Raise SetupError with every reason if it cannot be
    converted, or if the error would be larger than allowed. Then nothing is written.
    """
    if settings.dtype not in DTYPES:
        raise SetupError(f"--dtype {quoted(settings.dtype)} is none of {', '.join(DTYPES)}")

    model = _Base.at(base)
    source = ChosenAdapter.at(adapter)
    with (
        without_pickled_adapter(adapter, allowed=settings.allow_pickle) as unpickled,
        with_joined_weights(unpickled) as folder,
    ):
        read = _read(replace(source, folder=folder), model, settings)
        if isinstance(read, Rejected):
            raise SetupError(f"{adapter} cannot be converted: {read.line}")

        _check_convertible(adapter, read, model.shapes)
        return _written(source, read, model, output, settings)


def _read(
    source: ChosenAdapter, base: _Base, settings: ConvertSettings
) -> AdapterUpdates | Rejected:
    """Return what the adapter does, in whatever format it is."""
    comparison = Comparison(base.shapes, base.weights)
    foreign = read_foreign(source.folder, base.shapes, LIMITS, comparison)
    if isinstance(foreign, Rejected):
        return foreign
    if foreign is not None:
        return with_base_warning(foreign, base.shapes)
    return source.updates(
        base.shapes,
        initial=settings.initial,
        residual_base=settings.residual_base,
        comparison=comparison,
    )


def _written(
    source: ChosenAdapter,
    read: AdapterUpdates,
    base: _Base,
    output: Path,
    settings: ConvertSettings,
) -> Conversion:
    """Write what the adapter does as plain LoRA, with its report and its card."""
    experts = [name for name, updates in read.updates.items() if experts_of(updates)]
    modules = [name.removesuffix(".weight") for name in read.updates if name not in experts]
    places = (source.origin, base.folder, settings.initial)
    inputs = [folder for folder in places if folder is not None]

    with new_folder(output, inputs) as folder:
        dtype = DTYPES[settings.dtype]
        with LoraFolder(folder, dtype, modules, base.shapes, experts) as writer:
            converted, error = _write(read, base.weights, settings.rule, writer)
            size = writer.finish(read.base_model)

        report = Conversion(
            source=str(source.origin),
            format=read.format,
            output=str(output),
            dtype=settings.dtype,
            rank=max(module.rank for module in converted),
            error=error,
            size_bytes=size,
            modules=tuple(converted),
            warnings=read.warnings,
        )
        _check_error(report, settings.allowed_error)

        # In the file, names instead of paths: a folder is moved to where it is served.
        record = report.as_dict() | {"source": source.name, "output": real_path(output).name}
        (folder / REPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        source.copy_card(folder)
    return report


def _check_convertible(adapter: Path, read: AdapterUpdates, shapes: BaseShapes) -> None:
    """Raise SetupError if plain LoRA cannot express one of the updates."""
    reasons = []
    for name, updates in read.updates.items():
        module = name.removesuffix(".weight")
        is_layer = name.endswith(".weight") and module in shapes.shapes
        if experts_of(updates):
            continue
        if not is_layer or any(isinstance(update, ReplacedRows) for update in updates):
            reasons.append(
                f"{quoted(name)} is trained as a whole and is no layer that LoRA can stand for"
            )
        elif not all(update.has_formula for update in updates):
            reasons.append(f"{read.format} is not converted")
        elif is_embedding(module) and not all(isinstance(update, LowRank) for update in updates):
            reasons.append(f"the change of the embedding {quoted(name)} is no product")

    if reasons:
        line = rejected(Reason("convert", text) for text in reasons).line
        raise SetupError(f"{adapter} cannot be converted: {line}; merge it with `lorabay merge`")


def _write(
    read: AdapterUpdates, weights: BaseWeights, rule: Rule | None, writer: LoraFolder
) -> tuple[list[ConvertedModule], float]:
    """Convert and write one module after the other; return them, and the error in total."""
    modules: list[ConvertedModule] = []
    totals: list[Callable[[], float]] = []
    lacking = 0.0

    # Values that are not finite are refused by the decomposition; NumPy need not warn of them.
    with (
        progress_bar(len(read.updates), "converting") as advance,
        np.errstate(over="ignore", invalid="ignore"),
    ):
        for name, updates in read.updates.items():
            made = converted_weight(name, updates, weights, rule)
            module = name.removesuffix(".weight")
            if experts_of(updates):
                writer.add_experts(name, made.a, made.b)
            else:
                writer.add(module, made.a, made.b)

            totals.append(made.total)
            lacking += made.lacking
            modules.append(ConvertedModule(module, made.rank, made.error))
            advance(module, 1)

    if not lacking:
        return modules, 0.0
    return modules, math.sqrt(lacking / sum(total() for total in totals))


def _check_error(report: Conversion, allowed: float) -> None:
    if report.error > allowed:
        worst = max(report.modules, key=lambda module: module.error)
        raise SetupError(
            f"plain LoRA of rank {report.rank} would lack {report.error:.1%} of the adapter's "
            f"change (most in {worst.module}: {worst.error:.1%}), and at most {allowed:.1%} is "
            "allowed; raise --rank or --energy, or --max-error"
        )
