"""The panels of the committed dashboards, and their expressions as Prometheus can read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from deploy.grafana.written import FOLDER


def panels(name: str) -> list[dict[str, Any]]:
    """Return the panels of a dashboard."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["panels"]
    return found


def expressions(name: str, *, window: str = "1m") -> Iterator[str]:
    """Yield the expressions of a dashboard, for every server and adapter, with rates over
    `window`.
    """
    for panel in panels(name):
        for target in panel["targets"]:
            yield filled(target["expr"], window)


def filled(expression: str, window: str) -> str:
    """Return an expression with the values that Grafana puts in place of its variables."""
    for variable, value in (
        ("$__rate_interval", window),
        ("$instance", ".*"),
        ("$adapter", ".*"),
    ):
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression
