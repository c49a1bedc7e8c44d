"""Figures of a Llama-3-8B on one 80 GiB device, for tests to change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lorabay.advising.costs import GIB, Figures

EIGHT_B = Figures(
    weights=15 * GIB,
    adapter=GIB // 8,
    device_memory=80 * GIB,
    key_value=131_072,
    context=8192,
    overhead=2 * GIB,
    speed=1000.0,
    adapter_speed=0.8,
)


def figures(**changes: Any) -> Figures:
    return replace(EIGHT_B, **changes)
