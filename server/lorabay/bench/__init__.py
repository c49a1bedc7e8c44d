"""The code behind `lorabay bench`: drives OpenAI-compatible servers and compares them in turns.

Callers use `run_bench`, `BenchSettings` and the report's `to_json` and `render`. vLLM is only ever
a subprocess here. Each scenario is one module of `scenarios/`, listed in `runner.SCENARIOS`.
"""

from __future__ import annotations

from lorabay.bench.progress import BarProgress, NoProgress, Progress
from lorabay.bench.report import Report, to_json
from lorabay.bench.runner import OWN_MODEL, SCENARIOS, run_bench
from lorabay.bench.settings import BenchSettings
from lorabay.bench.table import render

__all__ = [
    "OWN_MODEL",
    "SCENARIOS",
    "BarProgress",
    "BenchSettings",
    "NoProgress",
    "Progress",
    "Report",
    "render",
    "run_bench",
    "to_json",
]
