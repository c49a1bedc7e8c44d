"""Scenario `tune`, on a device that is made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.bench.progress import NoProgress
from lorabay.bench.runner import run_bench
from lorabay.bench.scenarios.tune import tune_on
from lorabay.bench.settings import BenchSettings
from lorabay.errors import SetupError
from tests import making
from tests.bench.tuning.fake_timer import FakeTimer


def test_usual_sizes_and_the_base_are_tuned(tmp_path: Path) -> None:
    """Both files hold the base's own shapes, for as many slots as it is served with."""
    base = making.make_base(tmp_path / "base")
    settings = BenchSettings(
        scenario="tune", base=str(base), output=tmp_path / "kernels", engine={"max_loras": "16"}
    )
    timer = FakeTimer(lambda configuration: float(configuration["num_warps"] or 1))
    findings = tune_on(timer, settings, NoProgress())

    facts = {fact.name: fact.value for fact in findings.facts}
    assert facts["shrink: vLLM's own / tuned"] == facts["expand: vLLM's own / tuned"] == 2.0
    assert facts["not run here"] == 0
    shrink, expand = (
        json.loads((tmp_path / "kernels" / f"NVIDIA_Test_1_80GB_{name}.json").read_bytes())
        for name in ("SHRINK", "EXPAND_TRUE")
    )
    assert list(shrink) == list(expand) == ["17"]
    assert shrink["17"]["1"]["16"][str(making.INNER)]["64"]["num_warps"] == 2
    assert str(making.INNER) in expand["17"]["2"]["16"]["64"]
    assert "8192" in shrink["17"]["1"]["16"]


def test_what_the_device_cannot_run_is_counted(tmp_path: Path) -> None:
    """And no file is made of nothing."""
    settings = BenchSettings(scenario="tune", output=tmp_path / "kernels")
    findings = tune_on(FakeTimer(lambda _: None), settings, NoProgress())
    facts = {fact.name: fact.value for fact in findings.facts}
    assert facts["not run here"] > 100
    assert not (tmp_path / "kernels").exists()


def test_it_says_that_it_needs_a_gpu(tmp_path: Path) -> None:
    """Before anything is timed or written."""
    with pytest.raises(SetupError, match="times the kernels of a GPU, and this machine has none"):
        run_bench(BenchSettings(scenario="tune", output=tmp_path / "kernels"))
    assert not (tmp_path / "kernels").exists()
