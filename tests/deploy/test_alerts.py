"""Every alert fires when it should and is quiet when it should, and says what to do then."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.alert_cases import CASES, Case, Series
from tests.docs.blocks import series
from tests.docs.pages import ROOT, page
from tests.fixtures.prometheus import Alertmanager, program

FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "alerts.yaml"
RUNBOOK = "docs/guides/alerts.md"

ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in ALERTS]


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says; fails with it."""
    command = [program("promtool"), *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def input_series(values: Series, server: str) -> list[dict[str, str]]:
    """Return the series of one server, as promtool reads them."""
    return [
        {"series": name.replace("HERE", server), "values": text} for name, text in values.items()
    ]


def expected(case: Case, server: str, *, fires: bool) -> dict[str, Any]:
    """Return whether the alert of a server is to fire at the case's minute."""
    labels = f'alertname="{case.alert}",alertstate="firing",instance="{server}"'
    return {
        "expr": f"count(ALERTS{{{labels}}})",
        "eval_time": f"{case.minute}m",
        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
    }


def test_the_rules_are_well_formed() -> None:
    """Promtool finds nothing in the rules."""
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", RULES)


def test_every_alert_is_tried_out() -> None:
    """Each has series that it fires for, and others that it does not."""
    assert len(ALERTS) >= 20
    assert [case.alert for case in CASES] == NAMES
    assert all(case.fires and case.quiet and case.fires != case.quiet for case in CASES)


def test_alerts_fire_and_are_quiet(tmp_path: Path) -> None:
    """Promtool runs all of the cases on the rules as they are, each on two servers of its own: one
    that the alert is for, and one that it is not.
    """
    given, wanted = [], []
    for case in CASES:
        for values, fires in ((case.fires, True), (case.quiet, False)):
            server = f"{case.alert}-{'fires' if fires else 'quiet'}"
            given += input_series(values, server)
            wanted.append(expected(case, server, fires=fires))
    trial = {"interval": "15s", "input_series": given, "promql_expr_test": wanted}
    file = tmp_path / "alerts.test.yaml"
    content = {"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [trial]}
    file.write_text(json.dumps(content))
    assert len(wanted) == 2 * len(ALERTS)
    assert "SUCCESS" in promtool("test", "rules", file)


@pytest.mark.parametrize("rule", ALERTS, ids=NAMES)
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """It has a severity, a sentence each on what is wrong and what it means, and a section of the
    runbook.
    """
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook"] == f"{RUNBOOK}#{rule['alert'].lower()}"
    assert len(page(RUNBOOK).section(rule["alert"]).strip()) > 100


def test_the_runbook_has_no_other_alert() -> None:
    """A section whose alert is gone would mislead."""
    assert re.findall(r"^### (\w+)$", page(RUNBOOK).text, re.MULTILINE) == NAMES


def test_alerts_look_at_series_that_exist() -> None:
    """A renamed series would make its alert quiet for ever."""
    known = {"lorabay_" + name.removeprefix("lorabay_") for name, *_ in series()}
    known |= {f"{name}_bucket" for name, kind, *_ in series() if kind == "histogram"}
    for rule in ALERTS:
        used = set(re.findall(r"\blorabay_\w+", rule["expr"]))
        assert used or rule["alert"] == "LorabayDown"
        assert used <= known, rule["alert"]


def test_prometheus_takes_its_settings() -> None:
    """The file that Compose mounts is whole, with the rules beside it."""
    assert "1 rule files found" in promtool("check", "config", FOLDER / "prometheus.yml")


def test_alertmanager_takes_its_settings(alertmanager: Alertmanager) -> None:
    """The real one starts with the file that Compose mounts, and has no alert yet."""
    assert alertmanager.received() == set()
