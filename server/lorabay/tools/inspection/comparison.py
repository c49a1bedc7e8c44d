"""What differs between two adapters of one base: facts of the configs, modules, ranks, and the
changes themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table

from lorabay.reasons import quoted
from lorabay.tools.inspection.inspection import shown, whole_text
from lorabay.tools.inspection.modules import in_order, rank_and_alpha
from lorabay.tools.inspection.norms import change_norm, distance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.tools.inspection.opened import Opened


@dataclass(frozen=True, slots=True)
class ModuleDifference:
    """`distance` is ||ΔW1 - ΔW2|| over the larger of both norms; None where it cannot be
    measured.
    """

    name: str
    ranks: tuple[int | None, int | None]
    distance: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`config` has what the two configs say differently; `only` the modules that one of them alone
    changes.
    """

    adapters: tuple[str, str]
    config: Mapping[str, tuple[object, object]]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    modules: tuple[ModuleDifference, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give the differences as JSON values."""
        return asdict(self)

    def render(self) -> Group:
        """Lay the differences out: of the configs and of the modules."""
        config = Table("config", *map(whole_text, self.adapters))
        for field, (one, two) in self.config.items():
            config.add_row(field, quoted(one), quoted(two))
        table = Table(whole_text("module"), "ranks", "relative distance")
        for module in self.modules:
            table.add_row(module.name, " / ".join(map(shown, module.ranks)), shown(module.distance))
        for adapter, names in zip(self.adapters, self.only, strict=True):
            for name in names:
                table.add_row(name, f"only in {adapter}", "")
        return Group(config, table)


def compare(one: Opened, two: Opened) -> Comparison:
    """Measure what differs. Raises SetupError when an adapter changes meanwhile."""
    first, second = one.found.updates, two.found.updates
    configs = [_as_json(opened.found.config) for opened in (one, two)]
    pairs = {
        field: (configs[0].get(field), configs[1].get(field))
        for field in sorted({*configs[0], *configs[1]})
    }
    return Comparison(
        adapters=(one.source.name, two.source.name),
        config={field: pair for field, pair in pairs.items() if pair[0] != pair[1]},
        only=(
            tuple(in_order(first.keys() - second.keys())),
            tuple(in_order(second.keys() - first.keys())),
        ),
        modules=tuple(
            _difference(name, one, two) for name in in_order(first.keys() & second.keys())
        ),
    )


def _as_json(config: Mapping[str, object]) -> dict[str, object]:
    """With words for NaN and infinity, which Python reads and JSON has none of."""
    found: dict[str, object] = json.loads(json.dumps(dict(config)), parse_constant=str)
    return found


def _difference(name: str, one: Opened, two: Opened) -> ModuleDifference:
    both = [(opened.found.updates[name], opened.found.config) for opened in (one, two)]
    norms = [change_norm(updates, one.weights, name) for updates, _ in both]
    apart = distance(both[0][0], both[1][0], one.weights, name)
    largest = max((norm for norm in norms if norm is not None), default=0.0)
    ranks = rank_and_alpha(*both[0])[0], rank_and_alpha(*both[1])[0]
    return ModuleDifference(name, ranks, apart and apart / largest if largest else apart)
