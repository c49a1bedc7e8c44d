"""One adapter seen from outside: its facts, its effects, and its needs from the engine."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Column, Table

from lorabay.catalog.admission import ALLOWED_RANKS, Checks, smallest_limit, validate
from lorabay.catalog.canonical import EXPERTS
from lorabay.catalog.defaults.defaults_json import as_json
from lorabay.catalog.defaults.own_defaults import OwnDefaults, read_own_defaults
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.reasons import Rejected, quoted, rejected
from lorabay.tools.find_adapter import LIMITS
from lorabay.tools.inspection.modules import measured, outlined
from lorabay.tools.inspection.opened import Misfit, refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.tools.inspection.modules import ModuleFacts
    from lorabay.tools.inspection.opened import Opened


@dataclass(frozen=True, slots=True)
class Inspection:
    """The facts about one adapter."""

    adapter: str
    folder: str
    format: str

    digest: str
    """Digest of the version that a server makes of the adapter; if it makes none, sha256 of the
    files."""

    approximate: float | None
    """Share of the adapter's change that its version in the store lacks; None if it is exact."""

    base_model: str | None
    parameters: int
    size_bytes: int

    needs: tuple[str, ...]
    """Options that the engine must be started with, in words."""

    reasons: tuple[str, ...]
    """Reasons why no engine can serve it."""

    warnings: tuple[str, ...]
    """What is to be known of it although it is served."""

    modules: tuple[ModuleFacts, ...]

    defaults: Mapping[str, Any]
    """What the adapter says about its use, and the base does not: see `catalog.defaults_json`."""

    @property
    def servable(self) -> bool:
        """Whether an engine with these needs would serve it."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return asdict(self) | {"servable": self.servable, "layers": self.layers()}

    def layers(self) -> list[dict[str, Any]]:
        """Return the norm of all changes in each layer, and last the norm outside of layers.

        It is None where one of the changes cannot be measured.
        """
        norms: defaultdict[int | None, list[float | None]] = defaultdict(list)
        for module in self.modules:
            layer, _ = module.place
            norms[layer].append(module.norm)

        order = sorted(norms, key=lambda layer: (layer is None, layer or 0))
        return [{"layer": layer, "norm": _joint(norms[layer])} for layer in order]

    def render(self) -> Group:
        """Return three tables: the facts, the layers, and the modules."""
        facts = Table("fact", whole_text("value"))
        for name, value in self._facts():
            facts.add_row(name, value)

        layers = Table("layer", "||ΔW||")
        for layer in self.layers():
            number = "outside" if layer["layer"] is None else str(layer["layer"])
            layers.add_row(number, shown(layer["norm"]))

        modules = Table(whole_text("module"), "rank", "alpha", "||ΔW||", "||ΔW||/||W||")
        for module in self.modules:
            figures = (module.rank, module.alpha, module.norm, module.ratio)
            modules.add_row(_printable(module.name), *map(shown, figures))
        return Group(facts, layers, modules)

    def _facts(self) -> list[tuple[str, str]]:
        approximate = "" if self.approximate is None else f"lacks {self.approximate:.1%}"
        servable = "yes" if self.servable else "no: " + "; ".join(self.reasons)
        return [
            ("adapter", self.adapter),
            ("folder", self.folder),
            ("format", _printable(self.format)),
            ("digest", self.digest),
            ("approximate", approximate),
            ("base", _printable(self.base_model or "")),
            ("parameters", f"{self.parameters:,}"),
            ("size", f"{self.size_bytes / 1e6:.2f} MB"),
            ("servable", servable),
            ("needs", "; ".join(self.needs)),
            *self._shown_defaults(),
            ("warnings", "; ".join(self.warnings)),
        ]

    def _shown_defaults(self) -> Iterator[tuple[str, str]]:
        """Yield what the adapter says about its use, a line for each thing that it says."""
        for name, value in self.defaults.items():
            if name == "sampling":
                for field, choice in value.items():
                    yield f"default {field}", _choice(choice)
            elif name == "system_prompt":
                yield "default system prompt", _choice(value)
            elif name == "chat_template":
                yield "chat template", f"its own, {len(value)} characters"
            elif isinstance(value, list):
                yield name.replace("_", " "), ", ".join(map(_printable, value))
            else:
                yield name, _printable(value)


def _choice(choice: Mapping[str, Any]) -> str:
    """Return a value that the adapter prefers, and whether it holds for all requests."""
    value = choice["value"]
    text = _printable(value) if isinstance(value, str) else json.dumps(value)
    return f"{text} (enforced)" if choice["enforced"] else text


def whole_text(header: str) -> Column:
    """Return a column whose texts are wrapped and never cut, so that they can be copied."""
    return Column(header, overflow="fold")


def shown(value: float | None) -> str:
    """Return a figure for a table; blank if there is none."""
    return "" if value is None else f"{value:.4g}"


def _printable(text: str) -> str:
    """Return text from an adapter's file without characters that would command a terminal."""
    return text if text.isprintable() else quoted(text)


def _joint(norms: Sequence[float | None]) -> float | None:
    """Return the norm of all changes together; None if one of them is unknown."""
    measured_norms = [norm for norm in norms if norm is not None]
    return math.hypot(*measured_norms) if len(measured_norms) == len(norms) else None


def inspect(opened: Opened | Misfit) -> Inspection:
    """Measure an adapter, one module in memory at a time.

    For an adapter that does not fit, return the facts of its config and header. Raise SetupError if
    a file changes meanwhile.
    """
    if isinstance(opened, Misfit):
        return _inspect_misfit(opened)

    source = opened.source
    file = AdapterWeights.open(source.folder, LIMITS)
    if isinstance(file, Rejected):
        raise refused(source, file)

    verdict = _verdict(opened)
    spec = None if isinstance(verdict, Rejected) else verdict
    own = _own_defaults(opened)
    return Inspection(
        adapter=source.name,
        folder=str(source.folder),
        format=spec.format if source.version and spec else opened.updates.format,
        digest=spec.digest if spec else source.digest(),
        approximate=spec.approximate if spec else None,
        base_model=opened.updates.base_model,
        parameters=_parameters(file.tensors),
        size_bytes=_size(file.tensors),
        needs=_needs(opened.updates, spec),
        reasons=verdict.sentences if isinstance(verdict, Rejected) else (),
        warnings=spec.warnings if spec else opened.updates.warnings,
        modules=measured(opened),
        defaults=as_json(own.defaults),
    )


def _inspect_misfit(misfit: Misfit) -> Inspection:
    verdict = _verdict(misfit)
    if not isinstance(verdict, Rejected):
        # A server would accept it, for another base or without the folders beside it.
        raise refused(misfit.source, misfit.refusal)

    codes = verdict.codes
    more = [reason for reason in misfit.refusal.reasons if reason.code not in codes]
    own = _own_defaults(misfit)
    base_model = misfit.config.get("base_model_name_or_path")
    return Inspection(
        adapter=misfit.source.name,
        folder=str(misfit.source.folder),
        format=_format(misfit.config),
        digest=misfit.source.digest(),
        approximate=None,
        base_model=base_model if isinstance(base_model, str) else None,
        parameters=_parameters(misfit.tensors),
        size_bytes=_size(misfit.tensors),
        needs=(),
        reasons=rejected([*verdict.reasons, *more]).sentences,
        warnings=own.warnings,
        modules=outlined(misfit),
        defaults=as_json(own.defaults),
    )


def _verdict(opened: Opened | Misfit) -> AdapterSpec | Rejected:
    """Return the verdict of a server; a version in the store has passed already."""
    if opened.source.version is not None:
        return opened.source.version.spec
    # What some engine serves; `_needs` says which.
    checks = Checks(
        opened.shapes,
        ALLOWED_RANKS[-1],
        base_weights=opened.weights,
        tokenizer=opened.tokenizer,
        adapts_experts=True,
    )
    return validate(opened.source.folder, checks)


def _own_defaults(opened: Opened | Misfit) -> OwnDefaults:
    """Return what an adapter says about its use; a version in the store has its defaults."""
    if opened.source.version is not None:
        return OwnDefaults(opened.source.version.defaults)
    return read_own_defaults(opened.source.folder, opened.tokenizer)


def _parameters(tensors: Iterable[TensorInfo]) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


def _size(tensors: Iterable[TensorInfo]) -> int:
    return max((tensor.end for tensor in tensors), default=0)


def _format(config: Mapping[str, object]) -> str:
    """Return the format that a config claims, which need not be a known one."""
    peft_type = config.get("peft_type")
    if peft_type == "LORA" and config.get("use_dora"):
        return "dora"
    if peft_type == "LORA" and config.get("use_rslora"):
        return "rslora"
    return peft_type.lower() if isinstance(peft_type, str) else "unknown"


def _needs(updates: AdapterUpdates, spec: AdapterSpec | None) -> tuple[str, ...]:
    if spec is None:
        return ()

    needs = [f"max_lora_rank={smallest_limit(spec.rank)}"]
    if updates.config.get("use_dora") or spec.format == "dora":
        needs.append("DoRA's output scaling (on a GPU: --dora)")
    if EXPERTS in spec.modules:
        needs.append("a GPU, where vLLM adapts experts")
    if updates.config.get("peft_type") != "LORA":
        needs.append("exact conversion to plain LoRA, which the server does")
    return tuple(needs)
