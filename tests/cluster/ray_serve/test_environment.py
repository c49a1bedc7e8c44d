"""What Ray reads of the environment."""

from __future__ import annotations

import os

import pytest

from lorabay.cluster.ray_serve import environment


def test_what_nobody_has_set_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's own choice stays."""
    for name in environment.WANTED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "5")
    environment.prepare()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["RAY_ENABLE_AUTO_CONNECT"] == "0"
    assert os.getenv("RAY_worker_niceness") == "5"  # noqa: SIM112 - its name
    for name in environment.WANTED:
        monkeypatch.delenv(name)
