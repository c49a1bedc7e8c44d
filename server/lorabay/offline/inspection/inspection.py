"""One adapter seen from outside: its facts, what it changes and by how much, and what it would need from the engine."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Column, Table

from lorabay.catalog.adapter_file import AdapterFile
from lorabay.catalog.base_shapes import BaseShapes
from lorabay.catalog.base_weights import BaseWeights
from lorabay.catalog.formats import CONVERTED
from lorabay.catalog.spec import AdapterSpec, Rejected, quoted
from lorabay.catalog.updates import Directional, LowRank
from lorabay.catalog.validation import ALLOWED_RANKS, Checks, smallest_limit, validate
from lorabay.errors import SetupError
from lorabay.offline.adapter_source import LIMITS
from lorabay.offline.inspection.norms import change_norm, weight_norm
from lorabay.offline.real_paths import real_path
from lorabay.offline.refusal import sentences, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lorabay.catalog.adapter_updates import AdapterUpdates
    from lorabay.catalog.updates import Update
    from lorabay.offline.adapter_source import AdapterSource

_LAYER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True, slots=True)
class Opened:
    """An adapter that was read, beside its base."""

    source: AdapterSource
    found: AdapterUpdates
    shapes: BaseShapes
    weights: BaseWeights


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """`alpha` is None where the format has none; `ratio` is ||ΔW|| / ||W||, None where one cannot be measured."""

    name: str
    rank: int | None
    alpha: float | None
    norm: float | None
    ratio: float | None

    @property
    def place(self) -> tuple[int | None, str]:
        """Layer, and the module's name in it."""
        found = _LAYER.search(self.name)
        return layer_of(self.name), self.name.removesuffix(".weight")[found.end() if found else 0 :]


@dataclass(frozen=True, slots=True)
class Inspection:
    """`needs` is what the engine must be started with, in words; `reasons` why it cannot serve the adapter at all.

    `approximate` is what a version of the store lacks of the adapter that it stands for, None where it lacks nothing.
    """

    adapter: str
    folder: str
    format: str
    digest: str | None
    approximate: float | None
    base_model: str | None
    parameters: int
    size_bytes: int
    needs: tuple[str, ...]
    reasons: tuple[str, ...]
    modules: tuple[ModuleFacts, ...]

    @property
    def servable(self) -> bool:
        """Whether an engine with what it needs would serve it."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Give the facts as JSON values."""
        return asdict(self) | {"servable": self.servable, "layers": self.layers()}

    def layers(self) -> list[dict[str, Any]]:
        """The norm of all that changes in each layer, None where a part cannot be measured; what is in none is last."""
        norms: defaultdict[int | None, list[float | None]] = defaultdict(list)
        for module in self.modules:
            norms[module.place[0]].append(module.norm)
        order = sorted(norms, key=lambda layer: (layer is None, layer or 0))
        return [{"layer": layer, "norm": _joint(norms[layer])} for layer in order]

    def render(self) -> Group:
        """Lay the facts out: one table of the whole, one with a line a module."""
        whole = Table("fact", whole_text("value"))
        for name, value in (
            ("adapter", self.adapter),
            ("folder", self.folder),
            ("format", self.format),
            ("digest", self.digest or ""),
            ("approximate", "" if self.approximate is None else f"lacks {self.approximate:.1%}"),
            ("base", _harmless(self.base_model or "")),
            ("parameters", f"{self.parameters:,}"),
            ("size", f"{self.size_bytes / 1e6:.2f} MB"),
            ("servable", "yes" if self.servable else "no: " + "; ".join(self.reasons)),
            ("needs", "; ".join(self.needs)),
        ):
            whole.add_row(name, value)
        table = Table(whole_text("module"), "rank", "alpha", "||ΔW||", "||ΔW||/||W||")
        for module in self.modules:
            table.add_row(module.name, *map(shown, (module.rank, module.alpha, module.norm, module.ratio)))
        layers = Table("layer", "||ΔW||")
        for layer in self.layers():
            layers.add_row("outside" if layer["layer"] is None else str(layer["layer"]), shown(layer["norm"]))
        return Group(whole, layers, table)


def whole_text(header: str) -> Column:
    """A column whose texts are broken rather than cut: they may be copied."""
    return Column(header, overflow="fold")


def _harmless(text: str) -> str:
    """What an adapter's file says, without what would command a terminal."""
    return text if text.isprintable() else quoted(text)


def in_order(names: Iterable[str]) -> list[str]:
    """By layer, those that are in none last, then by name."""
    return sorted(names, key=lambda name: (layer_of(name) is None, layer_of(name) or 0, name))


def layer_of(name: str) -> int | None:
    """The number of the layer that a weight is in."""
    found = _LAYER.search(name)
    return int(found[1]) if found else None


def _joint(norms: Sequence[float | None]) -> float | None:
    known = [norm for norm in norms if norm is not None]
    return math.hypot(*known) if len(known) == len(norms) else None


def shown(value: float | None) -> str:
    """A figure for a table; blank where there is none."""
    return "" if value is None else f"{value:.4g}"


def open_adapter(source: AdapterSource, base: Path) -> Opened:
    """Read config and header. Raises SetupError with every reason when that cannot be done."""
    shapes = BaseShapes.read(base, names=(real_path(base).name,))
    found = source.updates(shapes)
    if isinstance(found, Rejected):
        raise _refused(source, found)
    return Opened(source, found, shapes, BaseWeights.open(base))


def inspect(opened: Opened) -> Inspection:
    """Measure an adapter, one module in memory at a time. Raises SetupError when it changes meanwhile."""
    source = opened.source
    file = AdapterFile.open(source.folder, LIMITS)
    if isinstance(file, Rejected):
        raise _refused(source, file)
    result = _verdict(opened)
    spec = None if isinstance(result, Rejected) else result
    return Inspection(
        adapter=source.name,
        folder=str(source.folder),
        format=spec.format if source.version and spec else opened.found.format,
        digest=spec.digest if spec else None,
        approximate=spec.approximate if spec else None,
        base_model=opened.found.base_model,
        parameters=sum(math.prod(tensor.shape) for tensor in file.tensors),
        size_bytes=max((tensor.end for tensor in file.tensors), default=0),
        needs=_needs(opened.found, spec),
        reasons=sentences(result) if isinstance(result, Rejected) else (),
        modules=tuple(_module(name, opened) for name in in_order(opened.found.updates)),
    )


def _verdict(opened: Opened) -> AdapterSpec | Rejected:
    """What a server would say; of a version in the store, it has said it."""
    if opened.source.version is not None:
        return opened.source.version.spec
    checks = Checks(opened.shapes, ALLOWED_RANKS[-1], base_weights=opened.weights)
    return validate(opened.source.folder, checks)


def _refused(source: AdapterSource, rejected: Rejected) -> SetupError:
    return SetupError(f"{source.folder} cannot be inspected: " + told(rejected))


def _module(name: str, opened: Opened) -> ModuleFacts:
    updates = opened.found.updates[name]
    norm, whole = change_norm(updates, opened.weights, name), weight_norm(opened.weights, name)
    ratio = norm / whole if norm is not None and whole else None
    rank, alpha = rank_and_alpha(updates, opened.found.config)
    return ModuleFacts(name, rank, alpha, norm, ratio)


def rank_and_alpha(updates: tuple[Update, ...], config: Mapping[str, object]) -> tuple[int | None, float | None]:
    """Of the module's product, if it has one; alpha only where the format is LoRA."""
    products = (update.low_rank if isinstance(update, Directional) else update for update in updates)
    product = next((update for update in products if isinstance(update, LowRank)), None)
    if product is None or config.get("peft_type") != "LORA":
        return (product.rank if product else None), None
    return product.rank, product.scale * (math.sqrt(product.rank) if config.get("use_rslora") else product.rank)


def _needs(found: AdapterUpdates, spec: AdapterSpec | None) -> tuple[str, ...]:
    if spec is None:
        return ()
    needs = [f"max_lora_rank={smallest_limit(spec.rank)}"]
    if found.config.get("use_dora") or spec.format == "dora":
        needs.append("DoRA's output scaling (on a GPU: --dora)")
    if found.config.get("peft_type") in CONVERTED:
        needs.append("exact conversion to plain LoRA, which the server does")
    return tuple(needs)
