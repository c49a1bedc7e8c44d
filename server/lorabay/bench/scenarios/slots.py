"""Scenario `slots`: what slots cost where there are more adapters than slots, beside stock vLLM.

Copies, look-ups and hits are those of vLLM's own managers, in a process of their own, as they come
and with our plugin. Waits are those of our gate and of vLLM's rule, in front of the same simulated
engine. Needs no base, no engine and no GPU.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.bench.alternation import Comparison
from lorabay.bench.processes import run_module
from lorabay.bench.report import Fact, Findings
from lorabay.bench.slot_waits import SLOTS, VllmRule, our_gate, worst_wait
from lorabay.errors import UsageError

if TYPE_CHECKING:
    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

ROUNDS = 3
COSTS = "lorabay.vllm_plugin.slot_costs"
"""The plugin's program that measures vLLM's managers; only named here."""

STOCK, OURS = "stock vLLM", "lorabay"
COPIES = "copies for one cold adapter beside 8 running ones, at most"
LOOKUP = "a step's look-up, 8 of 1,000 adapters in memory"
HITS = "hits, 100 adapters over 8 slots"
WAIT = f"longest wait of a cold adapter beside 2 busy ones, {SLOTS} slots / one request's time"
NAMES = (COPIES, LOOKUP, HITS, WAIT)
COPIES_BAR, LOOKUP_BAR_MS, HITS_BAR_POINTS, WAIT_BAR = 1, 0.05, 5.0, 2.0


def slots(settings: BenchSettings, progress: Progress) -> Findings:
    """Measure both sides; raises UsageError with a URL."""
    if settings.url is not None:
        raise UsageError("bench: scenario 'slots' needs no server; leave out --url")
    rounds = settings.rounds or ROUNDS
    progress.plan(2)

    progress.step("vLLM's managers, as they come and with the plugin")
    costs = measure_costs(rounds)

    progress.step("waits for a slot, simulated")
    waits = {STOCK: worst_wait(VllmRule()), OURS: worst_wait(our_gate())}
    return slot_findings(costs, waits)


def measure_costs(rounds: int) -> list[Mapping[str, Any]]:
    """Return the figures of each round, by side; see the program."""
    with tempfile.TemporaryDirectory(prefix="lorabay-bench-") as folder:
        file = Path(folder) / "costs.json"
        run_module(COSTS, [str(file), str(rounds)])
        costs: list[Mapping[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        return costs


def slot_findings(costs: Sequence[Mapping[str, Any]], waits: Mapping[str, float]) -> Findings:
    """Return what was measured of either side; bars are for ours."""
    facts: list[Fact] = []
    for side, name in ((STOCK, "stock"), (OURS, "ours")):
        own = [one[name] for one in costs]
        copies = max(max(one["copies"]) for one in own)
        lookup_ms = statistics.median(one["lookup_ms"] for one in own)
        hits = 100 * statistics.median(one["hits"] for one in own)
        facts += (
            Fact(f"{COPIES}, {side}", copies, "", COPIES_BAR if side == OURS else None),
            Fact(f"{LOOKUP}, {side}", lookup_ms, "ms", LOOKUP_BAR_MS if side == OURS else None),
            Fact(f"{HITS}, {side}", hits, "%"),
            Fact(f"{WAIT}, {side}", waits[side], "x", WAIT_BAR if side == OURS else None),
        )

    points = tuple(100 * (one["ours"]["hits"] - one["stock"]["hits"]) for one in costs)
    more_hits = Comparison(f"{HITS}, {OURS} - {STOCK}", points, "points", HITS_BAR_POINTS)
    facts.sort(key=lambda fact: NAMES.index(fact.name.rpartition(",")[0]))
    return Findings(facts=tuple(facts), comparisons=(more_hits,))
