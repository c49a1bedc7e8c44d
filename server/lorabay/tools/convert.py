"""Turns an adapter of any format into plain LoRA, or plain LoRA into one of a smaller rank.

Exact where algebra allows it and no smaller rank is asked for; otherwise the best product of the
rank, with its error for each module and in total. One module is in memory at a time.
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

from lorabay.algebra.low_rank import Rule, decompose, decompose_dense, decompose_product
from lorabay.algebra.updates import Dense, LowRank, ReplacedRows, change
from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes, is_embedding
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.errors import SetupError
from lorabay.files.durable import new_folder
from lorabay.files.real_paths import real_path
from lorabay.formats.base_layer_copies import without_copies
from lorabay.formats.writer import LoraFolder
from lorabay.progress import progress_bar
from lorabay.reasons import Reason, Rejected, quoted, rejected
from lorabay.tools.find_adapter import ChosenAdapter

if TYPE_CHECKING:
    from lorabay.algebra.low_rank import Decomposed
    from lorabay.algebra.updates import Update
    from lorabay.formats.reading import AdapterUpdates

DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}
"""What `--dtype` takes: name -> name in safetensors."""

REPORT_FILE = "conversion.json"
DEFAULT_ENERGY, DEFAULT_ERROR = 0.99, 0.1


@dataclass(frozen=True, slots=True)
class ConvertSettings:
    """What is asked for: one rank, or a share of the squared norm, or (neither) exactness where it
    can be had.
    """

    rank: int | None = None
    energy: float | None = None
    max_error: float | None = None
    dtype: str = "float32"
    initial: Path | None = None
    residual_base: bool = False

    @property
    def asked(self) -> Rule | None:
        """What every module is cut to; None to keep what is exact."""
        if self.rank is None and self.energy is None:
            return None
        return Rule(self.rank, 1.0 if self.energy is None else self.energy)

    @property
    def allowed_error(self) -> float:
        """The largest relative error in total."""
        if self.max_error is not None:
            return self.max_error
        lost = 0.0 if self.energy is None else math.sqrt(max(0.0, 1 - self.energy))
        return max(DEFAULT_ERROR, lost * (1 + 1e-6))


@dataclass(frozen=True, slots=True)
class ConvertedModule:
    """`error` is the norm of what the module's new update lacks, over the norm of the old one."""

    module: str
    rank: int
    error: float


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written, and how far it is from what was asked for; 0 is exact up to the rounding of
    `dtype`.
    """

    source: str
    format: str
    output: str
    dtype: str
    rank: int
    error: float
    size_bytes: int
    modules: tuple[ConvertedModule, ...]
    warnings: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether nothing was cut."""
        return self.error == 0.0

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return asdict(self) | {"exact": self.exact}

    def table(self) -> Group:
        """Lay the report out, one line a module and one for all, then what to look at."""
        table = Table("module", "rank", "error")
        for module in self.modules:
            table.add_row(
                module.module, str(module.rank), f"{module.error:.2e}" if module.error else "exact"
            )
        total = "exact" if self.exact else f"{self.error:.2e}"
        table.add_row(f"all, from {self.format}", str(self.rank), total, style="bold")
        return Group(
            table,
            *(Text.assemble(("warning:", "yellow"), f" {warning}") for warning in self.warnings),
        )


def convert(adapter: Path, base: Path, output: Path, settings: ConvertSettings) -> Conversion:
    """Write the adapter in `adapter` as plain LoRA into `output`.

    Raises SetupError with every reason when it cannot be done, or when the error would be over the
    allowed one; then nothing is written.
    """
    if settings.dtype not in DTYPES:
        raise SetupError(f"--dtype {quoted(settings.dtype)} is none of {', '.join(DTYPES)}")
    files = BaseFiles.open(base)
    shapes = BaseShapes.of(files, names=(real_path(base).name,))
    source = ChosenAdapter.at(adapter)
    found = source.updates(shapes, initial=settings.initial, residual_base=settings.residual_base)
    if isinstance(found, Rejected):
        raise SetupError(f"{adapter} cannot be converted: {found.line}")
    weights = BaseWeights.of(files)
    found = _convertible(adapter, found, shapes, weights)
    names = [name.removesuffix(".weight") for name in found.updates]
    with new_folder(output, filter(None, (adapter, base, settings.initial))) as folder:
        with LoraFolder(folder, DTYPES[settings.dtype], names, shapes) as writer:
            modules, error = _write(found, weights, settings, writer)
            size = writer.finish(found.base_model)
        rank = max(module.rank for module in modules)
        report = Conversion(
            source=str(adapter),
            format=found.format,
            output=str(output),
            dtype=settings.dtype,
            rank=rank,
            error=error,
            size_bytes=size,
            modules=tuple(modules),
            warnings=found.warnings,
        )
        _check_error(report, settings.allowed_error)
        record = report.as_dict() | {"source": source.name, "output": real_path(output).name}
        (folder / REPORT_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        source.copy_card(folder)
    return report


def _convertible(
    adapter: Path, found: AdapterUpdates, shapes: BaseShapes, weights: BaseWeights
) -> AdapterUpdates:
    """Without the copies of the base's own tensors. Raises SetupError for what no plain LoRA can
    stand for.
    """
    own = without_copies(found.updates, shapes, weights)
    if isinstance(own, Rejected):
        raise _refusal(adapter, own)
    found = replace(found, updates=own)
    reasons = []
    for name, updates in found.updates.items():
        module = name.removesuffix(".weight")
        whole = not name.endswith(".weight") or module not in shapes.shapes
        if whole or any(isinstance(update, ReplacedRows) for update in updates):
            reasons.append(
                f"{quoted(name)} is trained as a whole and is no layer that LoRA can stand for"
            )
        elif not all(update.has_formula for update in updates):
            reasons.append(f"{found.format} is not converted")
        elif is_embedding(module) and not all(isinstance(update, LowRank) for update in updates):
            reasons.append(f"the change of the embedding {quoted(name)} is no product")
    if reasons:
        raise _refusal(adapter, rejected(Reason("convert", text) for text in reasons))
    return found


def _refusal(adapter: Path, reasons: Rejected) -> SetupError:
    return SetupError(
        f"{adapter} cannot be converted: {reasons.line}; merge it with `lorabay merge`"
    )


def _write(
    found: AdapterUpdates, weights: BaseWeights, settings: ConvertSettings, writer: LoraFolder
) -> tuple[list[ConvertedModule], float]:
    modules: list[ConvertedModule] = []
    exact: list[LowRank] = []
    lacking = whole = 0.0
    # What is not finite is refused, not warned of.
    with (
        progress_bar(len(found.updates), "converting") as advance,
        np.errstate(over="ignore", invalid="ignore"),
    ):
        for name, updates in found.updates.items():
            module = name.removesuffix(".weight")
            product = _exact(name, updates, weights, settings.asked)
            if product is not None:
                a, b, error = product.a(), product.b() * np.float32(product.scale), 0.0
                exact.append(product)
            else:
                change = _decomposed(name, updates, weights, settings.asked)
                rank = change.rank_for(settings.asked or Rule(ALLOWED_RANKS[-1], DEFAULT_ENERGY))
                a, b = change.factors(rank)
                residual = change.residual(rank)
                error = residual / change.norm if change.norm else 0.0
                lacking, whole = lacking + residual**2, whole + change.norm**2
            writer.add(module, a, b)
            modules.append(ConvertedModule(module, a.shape[0], error))
            advance(module, 1)
    # The size of what is exact matters only beside something that is not.
    whole += sum(map(_squared_norm, exact)) if lacking else 0.0
    return modules, math.sqrt(lacking / whole) if lacking else 0.0


def _exact(
    name: str, updates: tuple[Update, ...], weights: BaseWeights, rule: Rule | None
) -> LowRank | None:
    """The product that may stay as it is."""
    product = _product(name, updates, weights)
    if product is None or rule is None:
        return product
    return product if rule.energy == 1.0 and product.rank <= (rule.rank or 0) else None


def _product(name: str, updates: tuple[Update, ...], weights: BaseWeights) -> LowRank | None:
    """Return the exact product that the updates are, if an engine serves its rank."""
    if len(updates) != 1:
        return None
    product = updates[0].as_product()
    if product is None or product.rank > ALLOWED_RANKS[-1]:
        return None
    if product is updates[0] or _is_smaller(product, weights, name):
        return product
    return None


def _decomposed(
    name: str, updates: tuple[Update, ...], weights: BaseWeights, rule: Rule | None
) -> Decomposed:
    rule = rule or Rule(energy=DEFAULT_ENERGY)
    try:
        if product := _product(name, updates, weights):
            return decompose_product(product)
        if len(updates) == 1 and isinstance(updates[0], LowRank | Dense):
            return decompose(updates[0], rule)
        if problem := weights.problem(name):
            raise SetupError(f"what the adapter does depends on the base: {problem}")
        return decompose_dense(change(updates, weights.whole(name)), rule)
    except np.linalg.LinAlgError as error:
        raise SetupError(f"what the adapter does to {quoted(name)} is not finite") from error


def _is_smaller(product: LowRank, weights: BaseWeights, name: str) -> bool:
    """Return whether the rank is at most the smaller side of the weight, if that is known."""
    tensor = weights.tensors.get(name)
    return tensor is None or product.rank <= min(tensor.shape)


def _squared_norm(product: LowRank) -> float:
    """Of the whole product (Frobenius), without building it."""
    a, b = product.a(), product.b() * np.float32(product.scale)
    return max(float(((b.T @ b).astype(np.float64) * (a @ a.T).astype(np.float64)).sum()), 0.0)


def _check_error(report: Conversion, allowed: float) -> None:
    if report.error > allowed:
        worst = max(report.modules, key=lambda module: module.error)
        raise SetupError(
            f"plain LoRA of rank {report.rank} would lack {report.error:.1%} of the adapter's change (most in "
            f"{worst.module}: {worst.error:.1%}), and at most {allowed:.1%} is allowed; raise --rank or --energy, or "
            "--max-error"
        )
