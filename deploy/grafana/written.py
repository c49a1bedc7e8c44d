"""The dashboards as files that Grafana reads."""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import adapters, cluster, engine, overview, tenants

FOLDER = Path(__file__).parent / "dashboards"

BOARDS = {
    "overview": overview.dashboard,
    "adapters": adapters.dashboard,
    "tenants": tenants.dashboard,
    "engine": engine.dashboard,
    "cluster": cluster.dashboard,
}


def written(name: str) -> str:
    """Return the file of a dashboard."""
    made = BOARDS[name]().build()
    return json.dumps(made, cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def write() -> None:
    """Write every file anew."""
    for name in BOARDS:
        (FOLDER / f"{name}.json").write_text(written(name), encoding="utf-8")
