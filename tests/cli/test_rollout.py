"""`lorabay rollout` as one types it, against a server that only remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lorabay.cli import rollout, run
from lorabay.rollout.report import report
from lorabay.rollout.rollout import Arm
from lorabay.rollout.strata import Stratum
from tests.rollout.made import figures
from tests.rollout.test_rollout import rollout as made

KEY = ("--admin-key", "k")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    """What the server was asked; it answers with a report."""
    calls: list[tuple[str, str, Any]] = []
    running = made("5:10m", "100")
    running.figures[Arm.CANARY] = figures(100, 1, fails=0.0)
    running.figures[Arm.LIVE] = figures(1900, 2)
    running.strata = [Stratum(5, running.figures[Arm.LIVE], running.figures[Arm.CANARY])]

    def call(method: str, path: str, body: Any = None, **_: object) -> dict[str, Any]:
        calls.append((method, path, body))
        return report(running)

    monkeypatch.setattr(rollout, "call", call)
    return calls


def test_a_start_says_what_is_wished(asked: list[tuple[str, str, Any]]) -> None:
    """A share, or steps; guards, and what stays with its version."""
    assert run(["rollout", "start", "ads", "--share", "5", *KEY]) == 0
    steps = ("--step", "5:10m", "--step", "100", "--by", "key", "--version", "abc")
    guards = ("--guard", "length=off", "--guard", "samples=50")
    assert run(["rollout", "start", "ads", *steps, *guards, *KEY]) == 0
    assert asked == [
        ("POST", "/admin/adapters/ads/rollout", {"by": "user", "guards": {}, "share": 5.0}),
        (
            "POST",
            "/admin/adapters/ads/rollout",
            {
                "by": "key",
                "guards": {"length": "off", "samples": "50"},
                "steps": ["5:10m", "100"],
                "version": "abc",
            },
        ),
    ]


def test_the_other_verbs(asked: list[tuple[str, str, Any]]) -> None:
    """Each has its path; a name that is none of an adapter stays one part of it."""
    for verb in ("show", "promote", "stop"):
        assert run(["rollout", verb, "a/../b", *KEY]) == 0
    path = "/admin/adapters/a%2F..%2Fb/rollout"
    assert [(method, at) for method, at, _ in asked] == [
        ("GET", path),
        ("POST", f"{path}/promote"),
        ("POST", f"{path}/stop"),
    ]


@pytest.mark.usefixtures("asked")
def test_a_report_is_lines_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Each figure of both versions, with its interval."""
    assert run(["rollout", "show", "ads", *KEY]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "finance@bbbbbbbbbbbb beside finance@aaaaaaaaaaaa: running"
    assert lines[1] == "share 5 % of the clients by user; step 1 of 2: 5:600s, 100:0s"
    assert lines[2] == "answers: 100 of the canary, 1900 of the live version"
    assert lines[3].startswith("failed: 0 %, live ")
    assert lines[3].endswith(" points (95 %)")
    assert lines[5].endswith(" times (95 %)")
    assert len(lines) == 8
    assert run(["rollout", "show", "ads", "--json", *KEY]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "running"


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    "words",
    [
        ("start", "ads"),
        ("start", "ads", "--share", "5", "--step", "5:1m"),
        ("start", "ads", "--share", "101"),
        ("start", "ads", "--share", "x"),
        ("start", "ads", "--share", "5", "--guard", "length"),
        ("start",),
        ("nonsense", "ads"),
    ],
)
def test_wrong_usage_is_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is asked of a server."""
    assert run(["rollout", *words, *KEY]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_another_server_is_told(
    monkeypatch: pytest.MonkeyPatch, the_error: Callable[[], str]
) -> None:
    """Something that answers JSON and no rollout."""
    monkeypatch.setattr(rollout, "call", lambda *_, **__: {"hello": "world"})
    assert run(["rollout", "show", "ads", *KEY]) == 1
    assert "is it lorabay" in the_error()
