"""How often our server has looked at its adapter directory and how long that took, out of its
`/metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from lorabay.errors import SetupError

FAMILY = "lorabay_reconcile_seconds"


@dataclass(frozen=True, slots=True)
class Passes:
    """Looks since the server's start, and their seconds together."""

    count: int
    seconds: float

    def since(self, before: Passes) -> Passes:
        return Passes(self.count - before.count, self.seconds - before.seconds)


def parse_passes(metrics: str) -> Passes:
    """Out of a `/metrics` page; SetupError for the page of another server."""
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics)
        if family.name == FAMILY
        for sample in family.samples
    }
    try:
        return Passes(int(samples[f"{FAMILY}_count"]), samples[f"{FAMILY}_sum"])
    except KeyError as error:
        raise SetupError(f"bench: the server's /metrics has no {FAMILY}") from error
