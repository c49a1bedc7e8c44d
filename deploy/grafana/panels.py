"""The kinds of panels that the dashboards have, and how each looks.

A panel has a title, a sentence that says what to read from it, a unit, and one or more queries.
Expressions are PromQL with the variables of a dashboard: `$instance` and, where there is one,
`$adapter`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="$source")

HERE = 'instance=~"$instance"'
"""The servers that a dashboard was asked about."""

HEIGHT = 8
WIDTHS = {"number": 6, "lines": 12, "table": 24}
"""Of the 24 columns of a dashboard."""

SECONDS, PER_SECOND, REQUESTS, TOKENS = "s", "cps", "reqps", "tok/s"
COUNT, SHARE, BYTES, TRUTH = "short", "percentunit", "bytes", "bool"


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and how its series are named: `{{label}}` stands for a label's value."""

    expression: str
    legend: str


Panel = dashboard.Panel | stat.Panel | table.Panel | timeseries.Panel


def lines(title: str, says: str, unit: str, *queries: Query) -> timeseries.Panel:
    """Return lines over time."""
    panel = timeseries.Panel().title(title).description(says).unit(unit).datasource(SOURCE)
    panel = panel.min(0).fill_opacity(8).line_width(1).height(HEIGHT).span(WIDTHS["lines"])
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    for query, letter in zip(queries, ascii_uppercase, strict=False):
        panel = panel.with_target(_target(query).ref_id(letter))
    return panel


def number(title: str, says: str, unit: str, expression: str) -> stat.Panel:
    """Return one figure of the present moment."""
    panel = stat.Panel().title(title).description(says).unit(unit).datasource(SOURCE)
    panel = panel.height(HEIGHT // 2).span(WIDTHS["number"])
    return panel.with_target(_target(Query(expression, title)).instant().ref_id("A"))


def rows(title: str, says: str, unit: str, expression: str) -> table.Panel:
    """Return the labels of the series of the present moment, a row each."""
    panel = table.Panel().title(title).description(says).unit(unit).datasource(SOURCE)
    panel = panel.height(HEIGHT).span(WIDTHS["table"])
    target = _target(Query(expression, "")).instant().format(PromQueryFormat.TABLE)
    return panel.with_target(target.ref_id("A"))


def _target(query: Query) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).datasource(SOURCE)
    return target.legend_format(query.legend)


def board(
    uid: str,
    title: str,
    says: str,
    panels: Sequence[Panel],
    *,
    of_adapters: bool = False,
) -> dashboard.Dashboard:
    """Return a dashboard of the last hour. Its reader chooses servers and, if wanted, adapters."""
    made = dashboard.Dashboard(f"lorabay: {title}").uid(f"lorabay-{uid}").description(says)
    made = made.tags(["lorabay"]).editable().refresh("30s")
    made = made.time("now-1h", "now").timezone("browser")

    source = dashboard.DatasourceVariable("source").label("Data source").type("prometheus")
    made = made.with_variable(source)
    servers = "label_values(lorabay_engine_up, instance)"
    made = made.with_variable(_choice("instance", "Server", servers))
    if of_adapters:
        adapters = "label_values(lorabay_adapter_state, adapter)"
        made = made.with_variable(_choice("adapter", "Adapter", adapters))

    for panel in panels:
        made = made.with_panel(panel)
    return made


def _choice(name: str, label: str, values: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(values).datasource(SOURCE)
    variable = variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    return variable.multi(True).include_all(True).all_value(".*")
