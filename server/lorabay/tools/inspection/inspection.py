"""One adapter seen from outside: its facts, what it changes and by how much, and what it would need
from the engine.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Column, Table

from lorabay.catalog.admission import ALLOWED_RANKS, Checks, smallest_limit, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.reasons import Rejected, quoted, rejected
from lorabay.tools.find_adapter import LIMITS
from lorabay.tools.inspection.modules import measured, outlined
from lorabay.tools.inspection.opened import Misfit, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.tools.inspection.modules import ModuleFacts
    from lorabay.tools.inspection.opened import Opened


@dataclass(frozen=True, slots=True)
class Inspection:
    """`needs` is what the engine must be started with, in words; `reasons` why it cannot serve the
    adapter at all.

    `digest` is that of the version which a server makes of the adapter, and where it makes none,
    sha256 of the files. `approximate` is what a version of the store lacks of the adapter that it
    stands for, None where it lacks nothing.
    """

    adapter: str
    folder: str
    format: str
    digest: str
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
        """The norm of all that changes in each layer, None where a part cannot be measured; what is
        in none is last.
        """
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
            ("format", _harmless(self.format)),
            ("digest", self.digest),
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
            table.add_row(
                _harmless(module.name),
                *map(shown, (module.rank, module.alpha, module.norm, module.ratio)),
            )
        layers = Table("layer", "||ΔW||")
        for layer in self.layers():
            layers.add_row(
                "outside" if layer["layer"] is None else str(layer["layer"]), shown(layer["norm"])
            )
        return Group(whole, layers, table)


def whole_text(header: str) -> Column:
    """A column whose texts are broken rather than cut: they may be copied."""
    return Column(header, overflow="fold")


def _harmless(text: str) -> str:
    """What an adapter's file says, without what would command a terminal."""
    return text if text.isprintable() else quoted(text)


def _joint(norms: Sequence[float | None]) -> float | None:
    known = [norm for norm in norms if norm is not None]
    return math.hypot(*known) if len(known) == len(norms) else None


def shown(value: float | None) -> str:
    """A figure for a table; blank where there is none."""
    return "" if value is None else f"{value:.4g}"


def inspect(opened: Opened | Misfit) -> Inspection:
    """Measure an adapter, one module in memory at a time; of one that does not fit, tell what its
    config and header do.

    Raises SetupError when it changes meanwhile.
    """
    return _misfit(opened) if isinstance(opened, Misfit) else _measured(opened)


def _measured(opened: Opened) -> Inspection:
    source = opened.source
    file = AdapterWeights.open(source.folder, LIMITS)
    if isinstance(file, Rejected):
        raise refused(source, file)
    result = _verdict(opened)
    spec = None if isinstance(result, Rejected) else result
    return Inspection(
        adapter=source.name,
        folder=str(source.folder),
        format=spec.format if source.version and spec else opened.found.format,
        digest=spec.digest if spec else source.digest(),
        approximate=spec.approximate if spec else None,
        base_model=opened.found.base_model,
        parameters=_parameters(file.tensors),
        size_bytes=_size(file.tensors),
        needs=_needs(opened.found, spec),
        reasons=result.sentences if isinstance(result, Rejected) else (),
        modules=measured(opened),
    )


def _misfit(misfit: Misfit) -> Inspection:
    result = _verdict(misfit)
    if not isinstance(
        result, Rejected
    ):  # a server takes it: to another base, or without what lies beside it
        raise refused(misfit.source, misfit.refusal)
    told = {reason.code for reason in result.reasons}
    more = [reason for reason in misfit.refusal.reasons if reason.code not in told]
    name = misfit.config.get("base_model_name_or_path")
    return Inspection(
        adapter=misfit.source.name,
        folder=str(misfit.source.folder),
        format=_format(misfit.config),
        digest=misfit.source.digest(),
        approximate=None,
        base_model=name if isinstance(name, str) else None,
        parameters=_parameters(misfit.tensors),
        size_bytes=_size(misfit.tensors),
        needs=(),
        reasons=rejected([*result.reasons, *more]).sentences,
        modules=outlined(misfit),
    )


def _verdict(opened: Opened | Misfit) -> AdapterSpec | Rejected:
    """What a server would say; of a version in the store, it has said it."""
    if opened.source.version is not None:
        return opened.source.version.spec
    checks = Checks(opened.shapes, ALLOWED_RANKS[-1], base_weights=opened.weights)
    return validate(opened.source.folder, checks)


def _parameters(tensors: Iterable[TensorInfo]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


def _size(tensors: Iterable[TensorInfo]) -> int:
    return max((tensor.end for tensor in tensors), default=0)


def _format(config: Mapping[str, object]) -> str:
    """As the config tells it, whether or not it is known here."""
    kind = config.get("peft_type")
    if kind == "LORA" and (config.get("use_dora") or config.get("use_rslora")):
        return "dora" if config.get("use_dora") else "rslora"
    return kind.lower() if isinstance(kind, str) else "unknown"


def _needs(found: AdapterUpdates, spec: AdapterSpec | None) -> tuple[str, ...]:
    if spec is None:
        return ()
    needs = [f"max_lora_rank={smallest_limit(spec.rank)}"]
    if found.config.get("use_dora") or spec.format == "dora":
        needs.append("DoRA's output scaling (on a GPU: --dora)")
    if found.config.get("peft_type") != "LORA":
        needs.append("exact conversion to plain LoRA, which the server does")
    return tuple(needs)
