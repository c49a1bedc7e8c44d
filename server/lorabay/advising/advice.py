"""The advice: merged, shared or mixed for these domains, with the reasons and a table.

The figures are compared here and computed in `costs`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lorabay.advising.costs import GIB, Figures, Plan, best_plan, crossing, plan
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LONGEST_TABLE = 24
FEWEST_ROWS = 12
SEARCHED = 200
"""Number of domains up to which a crossing is looked for, with no more than `MOST_ENGINES`."""
MOST_ENGINES = 2000
"""Engines of all domains, each merged, up to which a plan is made."""


class Way(StrEnum):
    """How domains are served."""

    MERGED = "merged"
    SHARED = "shared"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Row:
    """One number of domains of mean traffic: the plans each way, and which one is best."""

    merged: Plan
    shared: Plan
    best: Way


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do for `traffic`, in tokens/s by domain.

    `crossing` is the number of domains of mean traffic from which sharing takes fewer devices; None
    if there is none.
    """

    figures: Figures
    traffic: Mapping[str, float]
    merged: Plan
    shared: Plan
    best: Plan
    crossing: int | None
    rows: tuple[Row, ...]

    @property
    def way(self) -> Way:
        """The way to take."""
        return way_of(self.best)

    @property
    def merged_names(self) -> tuple[str, ...]:
        """The domains that get an engine of their own, the busiest first."""
        falling = sorted(self.traffic, key=lambda name: -self.traffic[name])
        return tuple(falling[: self.best.merged])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in sentences."""
        return (
            _devices(self),
            *_why(self),
            _crossing(self),
            *_slots(self.figures, self.best),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the advice as values that JSON can hold."""
        return {
            "way": self.way,
            "merged_domains": list(self.merged_names),
            "crossing": self.crossing,
            "reasons": list(self.reasons),
            "figures": asdict(self.figures),
            "traffic": dict(self.traffic),
            "plans": {
                "merged": asdict(self.merged),
                "shared": asdict(self.shared),
                "best": asdict(self.best),
            },
            "table": [asdict(row) for row in self.rows],
        }

    def table(self) -> Group:
        """Return the advice for a terminal."""
        table = Table(title="Devices and memory by number of domains", title_justify="left")
        for column in ("domains", "merged", "GiB", "shared", "GiB"):
            table.add_column(column, justify="right")
        table.add_column("best")
        for row in self.rows:
            table.add_row(
                str(row.merged.domains),
                str(row.merged.devices),
                gib(row.merged.memory),
                str(row.shared.devices),
                gib(row.shared.memory),
                row.best,
                style="bold" if row.merged.domains == len(self.traffic) else None,
            )
        return Group(Text(f"{self.way}: {self.reasons[0]}"), table, *map(Text, self.reasons[1:]))


def advise(figures: Figures, traffic: Mapping[str, float]) -> Advice:
    """Return what to do for domains with these traffics, in tokens/s.

    Raise UsageError for figures that mean nothing, and SetupError where nothing can be served.
    """
    _check(figures, traffic)

    rates = [*traffic.values()]
    mean = sum(rates) / len(rates)
    longest = min(LONGEST_TABLE, max(FEWEST_ROWS, len(rates)))
    return Advice(
        figures=figures,
        traffic=traffic,
        merged=plan(figures, rates, len(rates)),
        shared=plan(figures, rates, 0),
        best=best_plan(figures, rates),
        crossing=crossing(figures, mean, _searched(figures, rates)),
        rows=tuple(_row(figures, [mean] * domains) for domains in range(1, longest + 1)),
    )


def way_of(one: Plan) -> Way:
    """Return the way that a plan takes."""
    if one.merged == one.domains:
        return Way.MERGED
    return Way.MIXED if one.merged else Way.SHARED


def gib(size: int) -> str:
    """Return bytes in GiB, with as many digits as matter."""
    return f"{size / GIB:.1f}" if size >= GIB else f"{size / GIB:.2f}"


def _row(figures: Figures, rates: list[float]) -> Row:
    return Row(
        merged=plan(figures, rates, len(rates)),
        shared=plan(figures, rates, 0),
        best=way_of(best_plan(figures, rates)),
    )


def _searched(figures: Figures, rates: list[float]) -> int:
    """Return the number of domains of mean traffic up to which a crossing is looked for."""
    mean = _engines_of(figures, rates) / len(rates)
    return max(len(rates), min(SEARCHED, int(MOST_ENGINES / mean)))


def _engines_of(figures: Figures, rates: Iterable[float]) -> float:
    """Return how many engines merged domains take, but for rounding."""
    busy = (figures.busy(rate, merged=True) for rate in rates)
    return sum(max(1.0, one / figures.highest_load) for one in busy)


def _check(figures: Figures, traffic: Mapping[str, float]) -> None:
    if not traffic:
        raise UsageError("there are no domains: --domains N, --domain NAME=TOKENS_S, or adapters")
    if any(rate < 0 for rate in traffic.values()):
        raise UsageError("traffic is not below 0")
    if figures.speed is None and any(traffic.values()):
        raise UsageError("traffic needs --speed, which `lorabay bench --url URL` measures")

    engines = _engines_of(figures, traffic.values())
    if not engines <= MOST_ENGINES:
        raise UsageError(
            f"these domains take {engines:.3g} engines when each is merged, and plans are made for "
            f"up to {MOST_ENGINES}: are the traffic and --speed both in tokens/s?"
        )

    if figures.adapter <= 0 or figures.weights <= 0:
        raise UsageError("nothing says how large an adapter is: --adapters DIR, or --adapter-mib")

    needed = figures.engine_bytes + figures.adapter
    if needed > figures.device_bytes:
        raise SetupError(
            f"a device of {gib(figures.device_memory)} GiB offers {gib(figures.device_bytes)}, and "
            f"the base with one adapter takes {gib(needed)}: a larger device, a quantised base, or "
            "a shorter --context"
        )


def _devices(advice: Advice) -> str:
    merged, shared, best = advice.merged, advice.shared, advice.best
    told = (
        f"{_count(merged.domains, 'domain')} take {_count(merged.devices, 'device')} "
        f"({gib(merged.memory)} GiB) merged and {shared.devices} ({gib(shared.memory)} GiB) shared"
    )
    if advice.way is not Way.MIXED:
        return f"{told}."
    names = ", ".join(advice.merged_names)
    return f"{told}, and {best.devices} where {names} are merged and the others share."


def _why(advice: Advice) -> list[str]:
    figures, best = advice.figures, advice.best
    slower = f"{1 - figures.adapter_speed:.0%}"
    if advice.way is Way.MERGED:
        return [
            f"Merged models need no more devices, decode without the {slower} that adapters cost, "
            "and any engine serves them."
        ]
    if advice.way is Way.SHARED:
        return ["One base serves all, a new domain needs no device, and a failed one harms none."]
    return [
        f"The busiest decode {slower} slower as adapters and would need more devices for it; the "
        f"other {best.shared} are too quiet for an engine each."
    ]


def _crossing(advice: Advice) -> str:
    figures, found = advice.figures, advice.crossing
    held = (
        f"a device offers {gib(figures.device_bytes)} GiB, which "
        f"{_count(figures.merged_per_device, 'merged model')} of {gib(figures.engine_bytes)} fill"
    )
    if found is None:
        searched = _count(_searched(figures, [*advice.traffic.values()]), "domain")
        return f"At this traffic merging takes as few devices up to {searched}: {held}."
    return f"From {found} domains of this traffic on, sharing takes fewer devices: {held}."


def _slots(figures: Figures, best: Plan) -> list[str]:
    slots = figures.slots(best.shared)
    if slots == best.shared:
        return []
    return [
        f"A device holds {slots} of the {best.shared} adapters at once; the others wait in the "
        "host's memory, and are loaded when they are asked for."
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
