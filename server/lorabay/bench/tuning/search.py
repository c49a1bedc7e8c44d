"""Looks for the fastest configuration of one product: from vLLM's own, one number at a time.

Every number is tried at its neighbours while that gets faster, until no single change does. A
kernel has six numbers that matter and thousands of combinations; this tries some dozens. What it
finds is never slower than vLLM's own, as timed. Knows no device and no files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lorabay.bench.tuning.shapes import Operation, Product

Configuration = Mapping[str, int | None]
"""A kernel's numbers by the names of vLLM's files; `max_nreg` is None where nothing bounds it."""

CHOICES: Mapping[Operation, Mapping[str, tuple[int, ...]]] = {
    "shrink": {
        "block_m": (16, 32, 64),
        "block_n": (16, 32, 64),
        "block_k": (32, 64, 128, 256),
        "split_k": (1, 4, 8, 16, 32, 64),
        "num_warps": (2, 4, 8),
        "num_stages": (2, 3, 4),
        "group_size_m": (1, 8),
    },
    "expand": {
        "block_m": (16, 32, 64, 128),
        "block_n": (32, 64, 128, 256),
        "block_k": (16, 32, 64),
        "num_warps": (2, 4, 8),
        "num_stages": (1, 2, 3),
    },
}
"""What each number may be; Triton multiplies blocks of 16 and more."""

MARGIN = 0.98
"""Share of the best time that another one must be under: timing is not finer."""


class Timer(Protocol):
    """What times kernels on a device."""

    @property
    def device(self) -> str:
        """The device's name, as vLLM names its files."""

    def milliseconds(self, product: Product, configuration: Configuration) -> float | None:
        """Return the time of one launch; None if the device cannot run this configuration."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The fastest configuration of a product that was found, and how vLLM's own does."""

    product: Product
    configuration: Configuration
    milliseconds: float
    usual_milliseconds: float
    tried: int


def usual(product: Product) -> dict[str, int | None]:
    """Return the configuration that vLLM 0.32 takes without a file."""
    common: dict[str, int | None] = {"num_warps": 4, "num_ctas": 1, "num_stages": 2}
    common["max_nreg"] = None
    if product.operation == "expand":
        width = 64 if product.slices > 1 else 128
        return {"block_m": 64, "block_n": width, "block_k": 32, **common}

    is_short = product.rows < 128
    return {
        "block_m": 32,
        "block_n": 16,
        "block_k": 256 if is_short else 32,
        "split_k": 64 if is_short else 8,
        "group_size_m": 8,
        **common,
    }


def tune(product: Product, timer: Timer) -> Tuned | None:
    """Return what is fastest for a product; None if the device cannot even run vLLM's own."""
    times: dict[tuple[int | None, ...], float | None] = {}

    def time(configuration: Configuration) -> float | None:
        key = tuple(configuration.values())
        if key not in times:
            times[key] = timer.milliseconds(product, configuration)
        return times[key]

    best: Configuration = usual(product)
    best_ms = usual_ms = time(best)
    if best_ms is None or usual_ms is None:
        return None

    improved = True
    while improved:
        improved = False
        for configuration in _neighbours(best, product.operation):
            ms = time(configuration)
            if ms is not None and ms < MARGIN * best_ms:
                best, best_ms, improved = configuration, ms, True
                break

    return Tuned(product, best, best_ms, usual_ms, len(times))


def _neighbours(
    configuration: Configuration, operation: Operation
) -> Iterator[dict[str, int | None]]:
    """Yield the configurations with one number one choice smaller, or larger."""
    for name, choices in CHOICES[operation].items():
        place = choices.index(configuration[name] or 0)
        for neighbour in choices[max(place - 1, 0) : place + 2]:
            if neighbour != configuration[name]:
                yield {**configuration, name: neighbour}
