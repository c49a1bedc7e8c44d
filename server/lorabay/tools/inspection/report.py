"""What an inspection tells of one adapter, as JSON and as tables for a terminal.

Knows nothing of where the facts come from; `inspection` measures them.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Column, Table

from lorabay.reasons import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lorabay.tools.inspection.modules import ModuleFacts


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
