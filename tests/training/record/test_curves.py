"""Curves: a picture where matplotlib is installed, and a page that needs nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from lorabay.training.record.curves import running_mean, write_curves

METRICS: list[dict[str, Any]] = [
    {"kind": "step", "step": step, "epoch": 1, "loss": 2 / step, "learning_rate": 0.01}
    for step in range(1, 101)
]
LOOKS = [{"kind": "dev", "step": 50, "loss": 0.5}]


@pytest.mark.skipif(not importlib.util.find_spec("matplotlib"), reason="needs matplotlib")
def test_the_picture_is_in_a_file_and_in_the_page(tmp_path: Path) -> None:
    """The same metrics give the same bytes."""
    write_curves(tmp_path, "LoRA <b>", [*METRICS, *LOOKS])
    picture = (tmp_path / "loss.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    page = (tmp_path / "loss.html").read_text(encoding="utf-8")
    assert "data:image/png;base64," in page
    assert "LoRA &lt;b&gt;" in page
    write_curves(tmp_path, "LoRA <b>", [*METRICS, *LOOKS])
    assert (tmp_path / "loss.png").read_bytes() == picture


def test_without_matplotlib_the_page_has_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First and last step among them."""
    monkeypatch.setattr("lorabay.training.record.curves.find_spec", lambda name: None)
    write_curves(tmp_path, "LoRA", METRICS)
    page = (tmp_path / "loss.html").read_text(encoding="utf-8")
    assert "<td>1</td><td>1</td><td>2.0000</td>" in page
    assert "<td>100</td><td>1</td><td>0.0200</td>" in page
    assert not (tmp_path / "loss.png").exists()


def test_no_steps_have_no_curves(tmp_path: Path) -> None:
    """Nothing is written."""
    write_curves(tmp_path, "LoRA", LOOKS)
    assert list(tmp_path.iterdir()) == []


def test_a_running_mean_is_not_pulled_to_zero() -> None:
    """Of equal losses it is that loss, from the first step on."""
    assert running_mean([2.0] * 5) == pytest.approx([2.0] * 5)
    assert running_mean([1.0, 2.0])[1] == pytest.approx(2.9 / 1.9)
