"""The dashboards are what the program writes, can be read by somebody new, and ask for series that
exist. tests/e2e/test_dashboards.py runs their expressions.
"""

from __future__ import annotations

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.grafana.written import BOARDS, FOLDER, written
from tests.deploy.panels import expressions, panels
from tests.docs.blocks import series
from tests.docs.pages import ROOT

UNITS = {"s", "cps", "reqps", "tok/s", "short", "percentunit", "bytes", "bool"}
HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


def test_every_file_is_written_by_the_program() -> None:
    """`python -m deploy.grafana` has run since a dashboard was changed; no file is left over."""
    assert {path.stem for path in FOLDER.iterdir()} == set(BOARDS)
    for name in BOARDS:
        assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == written(name), name


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows(name: str) -> None:
    """It has a title of its own, a sentence and a unit, and lies beside the others."""
    found = panels(name)
    assert len(found) >= 12
    assert len({panel["title"] for panel in found}) == len(found)
    for panel in found:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
    assert not [pair for pair in overlapping(found) if pair]


def overlapping(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the titles of panels that cover one another."""
    taken: dict[tuple[int, int], str] = {}
    pairs = []
    for panel in found:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    pairs.append((taken[x, y], panel["title"]))
                taken[x, y] = panel["title"]
    return pairs


@pytest.mark.parametrize("name", BOARDS)
def test_every_expression_is_promql(name: str) -> None:
    """A parser of Prometheus's own language takes each of them."""
    found = list(expressions(name))
    assert len(found) >= 12
    for expression in found:
        promql_parser.parse(expression)


def test_panels_ask_for_series_that_exist() -> None:
    """A series of ours that was renamed would leave its panel empty."""
    known = {name for name, *_ in series()}
    used = {
        name
        for board in BOARDS
        for expression in expressions(board)
        for name in re.findall(r"\blorabay_\w+", expression)
    }
    assert len(used) >= 30
    assert {HISTOGRAM.sub("", name) for name in used} <= known


def test_no_series_is_left_out() -> None:
    """Every series of ours is in a panel or an alert: nobody collects what nobody looks at. Those
    with names of vLLM's are for routers.
    """
    known = {name for name, *_ in series() if name.startswith("lorabay_")}
    shown = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text()
    shown += "".join(written(name) for name in BOARDS)
    left_out = {name for name in known if name not in shown}
    assert left_out == set(), "add them to a panel in deploy/grafana, or to an alert"


def test_grafana_finds_them() -> None:
    """The folder that Compose mounts is the one that the provider reads, and panels ask for the
    data source by a variable, so that another Grafana can have them, too.
    """
    folder = ROOT / "deploy" / "grafana" / "provisioning"
    provider = yaml.safe_load((folder / "dashboards" / "lorabay.yaml").read_text())
    path = provider["providers"][0]["options"]["path"]
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    assert f"./grafana/dashboards:{path}:ro" in compose

    source = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    for name in BOARDS:
        board = json.loads(written(name))
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"$source"}
        assert board["templating"]["list"][0]["type"] == "datasource"
