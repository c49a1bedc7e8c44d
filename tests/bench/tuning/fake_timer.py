"""A device whose times follow a rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from lorabay.bench.tuning.search import Configuration, Timer
from lorabay.bench.tuning.shapes import Product


class FakeTimer(Timer):
    """Takes as long as `rule` says; counts how often it was asked for each configuration."""

    def __init__(self, rule: Callable[[Configuration], float | None]) -> None:
        self.rule = rule
        self.asked: Counter[tuple[Product, tuple[int | None, ...]]] = Counter()

    @property
    def device(self) -> str:
        return "NVIDIA Test-1 80GB"

    def milliseconds(self, product: Product, configuration: Configuration) -> float | None:
        self.asked[product, tuple(configuration.values())] += 1
        return self.rule(configuration)
