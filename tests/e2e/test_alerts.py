"""An engine that dies wakes somebody: from the kill to a real Alertmanager."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.e2e.server import START_S, Server
from tests.e2e.test_engine_death import kill_engine
from tests.fixtures.prometheus import Alertmanager, Prometheus, wait_until

RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
AT_MOST_S = 60.0

pytestmark = pytest.mark.timeout(900)


def test_a_killed_engine_is_told_within_a_minute(
    server: Server, alertmanager: Alertmanager, tmp_path: Path, figures: list[str]
) -> None:
    """The alert fires and is received, and nothing says that the server is down."""
    server.wait_for("ready")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    prometheus = Prometheus(folder, server.url, RULES, alertmanager=alertmanager)
    try:
        wait_until(lambda: len(prometheus.query("lorabay_engine_up == 1")) == 1, "a scrape")
        # An increase is seen between two scrapes.
        wait_until(
            lambda: len(prometheus.query("lorabay_engine_restarts_total offset 3s")) == 2, "zeros"
        )
        killed = time.monotonic()
        kill_engine(server)

        wait_until(lambda: "LorabayEngineRebuilt" in prometheus.firing(), "it fires")
        fired_s = time.monotonic() - killed
        wait_until(lambda: "LorabayEngineRebuilt" in alertmanager.received(), "it is received")
        received_s = time.monotonic() - killed

        wait_until(
            lambda: len(prometheus.query("lorabay_engine_up == 1")) == 1,
            "the engine is back",
            patience_s=START_S,
        )
    finally:
        prometheus.stop()

    figures.append(
        f"engine killed: the alert fires after {fired_s:.1f} s, "
        f"Alertmanager has it after {received_s:.1f} s"
    )
    assert received_s <= AT_MOST_S
    # The server itself has answered all the time.
    assert "LorabayDown" not in alertmanager.received()
