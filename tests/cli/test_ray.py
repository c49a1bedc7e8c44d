"""`lorabay ray deploy`: the flags of `serve`, and two replicas unless they say another number."""

from __future__ import annotations

import pytest

from lorabay.cli import ray, run
from lorabay.settings import Settings


@pytest.mark.parametrize(
    ("arguments", "environ", "replicas"),
    [
        ([], {}, 2),
        (["--ray-replicas", "4"], {}, 4),
        ([], {"LORABAY_RAY_REPLICAS": "3"}, 3),
    ],
)
@pytest.mark.usefixtures("no_settings_in_environment")
def test_it_serves_from_replicas(
    arguments: list[str],
    environ: dict[str, str],
    replicas: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The settings come from everywhere that `serve` takes them from."""
    seen: list[Settings] = []
    monkeypatch.setattr(ray, "run", seen.append)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run(["ray", "deploy", "--port", "8123", *arguments]) == 0
    assert [(one.ray_replicas, one.port) for one in seen] == [(replicas, 8123)]


@pytest.mark.usefixtures("no_settings_in_environment")
def test_a_negative_number_is_refused() -> None:
    assert run(["ray", "deploy", "--ray-replicas", "-1"]) == 2
