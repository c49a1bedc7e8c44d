"""Differences between two adapters of one base: configs, modules, ranks, and the changes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from lorabay.reasons import quoted
from lorabay.tools.inspection.modules import in_order, rank_and_alpha
from lorabay.tools.inspection.norms import change_norm, distance
from lorabay.tools.inspection.report import shown, whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.tools.inspection.opened import Opened


@dataclass(frozen=True, slots=True)
class ModuleDifference:
    """One tensor that both adapters change."""

    name: str
    ranks: tuple[int | None, int | None]

    distance: float | None
    """||ΔW1 - ΔW2|| over the larger of both norms; None if it cannot be measured."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two adapters."""

    adapters: tuple[str, str]

    config: Mapping[str, tuple[object, object]]
    """Fields of the configs that differ, with both values."""

    only: tuple[tuple[str, ...], tuple[str, ...]]
    """Tensors that only the first, and only the second adapter changes."""

    modules: tuple[ModuleDifference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the differences as JSON values."""
        return asdict(self)

    def render(self) -> Group:
        """Return a table of the configs and one of the modules."""
        config = Table("config", *map(whole_text, self.adapters))
        for field, (one, two) in self.config.items():
            config.add_row(field, quoted(one), quoted(two))

        modules = Table(whole_text("module"), "ranks", "relative distance")
        for module in self.modules:
            ranks = " / ".join(map(shown, module.ranks))
            modules.add_row(module.name, ranks, shown(module.distance))
        for adapter, names in zip(self.adapters, self.only, strict=True):
            for name in names:
                modules.add_row(name, f"only in {adapter}", "")
        return Group(config, modules)


def compare(one: Opened, two: Opened) -> Comparison:
    """Measure the differences. Raise SetupError if a file changes meanwhile."""
    first, second = one.updates.updates, two.updates.updates
    only_first = in_order(first.keys() - second.keys())
    only_second = in_order(second.keys() - first.keys())
    both = in_order(first.keys() & second.keys())

    return Comparison(
        adapters=(one.source.name, two.source.name),
        config=_different_fields(one.updates.config, two.updates.config),
        only=(tuple(only_first), tuple(only_second)),
        modules=tuple(_difference(name, one, two) for name in both),
    )


def _different_fields(
    one: Mapping[str, object], two: Mapping[str, object]
) -> dict[str, tuple[object, object]]:
    first, second = _as_json(one), _as_json(two)
    fields = {}
    for field in sorted({*first, *second}):
        values = (first.get(field), second.get(field))
        if values[0] != values[1]:
            fields[field] = values
    return fields


def _as_json(config: Mapping[str, object]) -> dict[str, object]:
    """Return the config with NaN and infinity as strings, because JSON has neither."""
    values: dict[str, object] = json.loads(json.dumps(dict(config)), parse_constant=str)
    return values


def _difference(name: str, one: Opened, two: Opened) -> ModuleDifference:
    first, second = one.updates.updates[name], two.updates.updates[name]
    norms = [change_norm(updates, one.weights, name) for updates in (first, second)]
    largest = max((norm for norm in norms if norm is not None), default=0.0)

    # Two changes that are zero have no distance, and no norm to divide by.
    absolute = distance(first, second, one.weights, name)
    relative = absolute / largest if absolute and largest else absolute

    rank, _ = rank_and_alpha(first, one.updates.config)
    other_rank, _ = rank_and_alpha(second, two.updates.config)
    return ModuleDifference(name, (rank, other_rank), relative)
