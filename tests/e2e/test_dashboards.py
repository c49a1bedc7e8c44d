"""Every expression of the dashboards and of autoscaling returns series from a real server, and what
the server's metrics say reaches a real Prometheus and a real Alertmanager.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
import yaml
from openai import OpenAI

from deploy.grafana.written import BOARDS
from tests.deploy.chart import VALUES, one, render
from tests.deploy.panels import expressions
from tests.docs.pages import ROOT
from tests.e2e.conftest import MODELS
from tests.e2e.server import Server
from tests.fixtures.kubernetes import Program
from tests.fixtures.prometheus import Prometheus, wait_until

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
SCRAPES = 6
"""Scrapes, a second apart, that a rate over 15 seconds is made of at least."""


@pytest.fixture(scope="module")
def prometheus(
    server: Server, client: OpenAI, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """A Prometheus that has read the shared server before, while and after it was under load."""
    running = Prometheus(tmp_path_factory.mktemp("prometheus"), server.url, RULES)
    wait_until(lambda: scrapes(running) >= 2, "two scrapes")
    load(server, client)
    before = scrapes(running)
    wait_until(lambda: scrapes(running) >= before + SCRAPES, "scrapes after the load")
    yield running
    running.stop()


def scrapes(prometheus: Prometheus) -> int:
    """Return how often the server was read."""
    found = prometheus.query('count_over_time(up{job="lorabay"}[1h])')
    return int(found[0]["value"][1]) if found else 0


def load(server: Server, client: OpenAI) -> None:
    """Ask each adapter and the base, streams and whole answers, for a few seconds."""
    until = time.monotonic() + 8
    while time.monotonic() < until:
        for model in MODELS:
            request = {
                "model": model,
                "messages": [{"role": "user", "content": "Where is my parcel?"}],
                "max_tokens": 8,
            }
            list(client.chat.completions.create(**request, stream=True))
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 3}}}
    client.chat.completions.create(
        **request,
        response_format={"type": "json_schema", "json_schema": {"name": "c", "schema": schema}},
    )
    httpx.get(f"{server.url}/v1/models", headers={"authorization": "Bearer wrong"})


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_shows_something(prometheus: Prometheus, name: str, figures: list[str]) -> None:
    """Each expression returns at least one series; a panel without any would look like a fault."""
    counts = {expression: len(prometheus.query(expression)) for expression in expressions(name)}
    figures.append(f"dashboard {name}: {len(counts)} expressions, {sum(counts.values())} series")
    assert [expression for expression, count in counts.items() if not count] == []


def test_autoscaling_gets_an_answer(prometheus: Prometheus, helm: Program) -> None:
    """The queries of the chart's ScaledObject, without the labels that only a cluster gives."""
    scaled = one(
        render(helm, next(path for path in VALUES if path.stem == "several")), "ScaledObject"
    )
    queries = [trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]]
    assert len(queries) == 2
    for query in queries:
        start, end = query.index("{"), query.index("}")
        assert len(prometheus.query(query[:start] + query[end + 1 :])) == 1


def test_a_healthy_server_has_no_alert(prometheus: Prometheus) -> None:
    """Nothing fires, and nothing is about to but what waits for a while: all rules are read."""
    rules = prometheus.get("/api/v1/rules")["data"]["groups"]
    read = [rule for group in rules for rule in group["rules"]]
    assert len(read) == sum(
        len(group["rules"]) for group in yaml.safe_load(RULES.read_text())["groups"]
    )
    assert {rule["health"] for rule in read} == {"ok"}
    assert prometheus.firing() <= {"LorabayAdapterRejected", "LorabayStoreFull"}
