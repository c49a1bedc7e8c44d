"""The forms of PromQL that most panels share."""

from __future__ import annotations

from deploy.grafana.panels import HERE, Query

WINDOW = "$__rate_interval"


def rate(series: str, *labels: str, by: str = "") -> str:
    """Return the rate of a counter, summed over everything but the labels in `by`."""
    chosen = ",".join((HERE, *labels))
    return f"sum{_by(by)} (rate({series}{{{chosen}}}[{WINDOW}]))"


def total(series: str, *labels: str, by: str = "") -> str:
    """Return the sum of a gauge."""
    return f"sum{_by(by)} ({series}{{{','.join((HERE, *labels))}}})"


def quantile(share: float, histogram: str, *labels: str, by: str = "") -> str:
    """Return what a share of the observations stays below."""
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *labels, by=_with_le(by))})"


def or_zero(expression: str) -> str:
    """Return 0 where there is no series yet, since nothing of that kind has happened."""
    return f"{expression} or vector(0)"


def usual_and_slow(histogram: str) -> tuple[Query, Query]:
    """Return the middle of the observations, and what one in twenty exceeds."""
    return (
        Query(quantile(0.5, histogram), "half"),
        Query(quantile(0.95, histogram), "19 of 20"),
    )


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""


def _with_le(by: str) -> str:
    return f"{by}, le" if by else "le"
