"""The products of LoRA kernels that are worth tuning: those of a base, and of usual sizes.

A kernel's speed depends on the numbers here alone: vLLM looks a configuration up by them. Knows no
kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes

Operation = Literal["shrink", "expand"]

ROWS = (1, 16, 64, 256, 4096)
"""Rows of a batch: one stream, several, and prompts. vLLM takes the nearest."""

RANKS = (16, 64)


@dataclass(frozen=True, slots=True, order=True)
class Product:
    """One launch: `slices` products of (rows, k) and (k, n), over `groups` of rows.

    A shrink has the layer's inputs as k and the rank as n, an expand the rank as k and the outputs
    of the widest slice as n. `groups` are the engine's slots, and one for rows of the base.
    """

    operation: Operation
    groups: int
    slices: int
    rows: int
    k: int
    n: int


@dataclass(frozen=True, slots=True, order=True)
class Layer:
    """A linear layer of vLLM: `slices` modules packed in it, the widest with `outputs` outputs."""

    slices: int
    inputs: int
    outputs: int


PACKED: tuple[tuple[str, ...], ...] = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Modules that vLLM packs in one layer."""


def _llama(hidden: int, inner: int, queries: int, vocabulary: int) -> tuple[Layer, ...]:
    """Return the layers of a base of Llama's form; its keys are not wider than its queries."""
    return (
        Layer(3, hidden, queries),
        Layer(1, queries, hidden),
        Layer(2, hidden, inner),
        Layer(1, inner, hidden),
        Layer(1, hidden, vocabulary),
    )


USUAL: Mapping[str, tuple[Layer, ...]] = {
    "1B": _llama(2048, 8192, 2048, 128256),
    "3B": _llama(3072, 8192, 3072, 128256),
    "8B": _llama(4096, 14336, 4096, 128256),
    "14B": _llama(5120, 13824, 5120, 152064),
    "32B": _llama(5120, 27648, 5120, 152064),
    "70B": _llama(8192, 28672, 8192, 128256),
}
"""Size -> layers: Llama 3.2 1B and 3B, Llama 3.1 8B, Qwen 2.5 14B and 32B, Llama 3.1 70B."""


def layers_of(base: BaseShapes) -> tuple[Layer, ...]:
    """Return the different layers that vLLM makes of a base's modules."""
    modules = {name: shape for name, shape in base.shapes.items() if shape is not None}
    layers: set[Layer] = set()
    for name, (outputs, inputs) in modules.items():
        around, _, last = name.rpartition(".")
        parts = next((parts for parts in PACKED if last in parts), (last,))
        packed = [modules[f"{around}.{part}"] for part in parts if f"{around}.{part}" in modules]
        if len(packed) == len(parts) > 1:
            layers.add(Layer(len(parts), inputs, max(width for width, _ in packed)))
        else:
            layers.add(Layer(1, inputs, outputs))
    return tuple(sorted(layers))


def products_of(layers: Iterable[Layer], groups: int) -> tuple[Product, ...]:
    """Return the different launches of layers, for all batches and ranks, in a fixed order."""
    return tuple(sorted(set(_products(layers, groups))))


def _products(layers: Iterable[Layer], groups: int) -> Iterator[Product]:
    for layer, rows, rank in product(layers, ROWS, RANKS):
        yield Product("shrink", groups, layer.slices, rows, layer.inputs, rank)
        yield Product("expand", groups, layer.slices, rows, rank, layer.outputs)
