"""The launches that are tuned."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.tuning.shapes import RANKS, ROWS, USUAL, Layer, layers_of, products_of
from tests import making


def test_a_layer_is_a_shrink_and_an_expand_for_every_batch_and_rank() -> None:
    """The rank is what a shrink makes, and what an expand takes."""
    products = products_of([Layer(2, 4096, 14336)], groups=9)
    assert len(products) == 2 * len(ROWS) * len(RANKS)
    assert {product.slices for product in products} == {2}
    assert {product.groups for product in products} == {9}
    for product in products:
        if product.operation == "shrink":
            assert (product.k, product.n in RANKS) == (4096, True)
        else:
            assert (product.n, product.k in RANKS) == (14336, True)


def test_products_that_are_the_same_come_once() -> None:
    """Layers of different bases often shrink alike."""
    one, other = Layer(1, 4096, 4096), Layer(1, 4096, 128256)
    shrinks = [p for p in products_of([one, other], groups=9) if p.operation == "shrink"]
    assert len(shrinks) == len(ROWS) * len(RANKS)


def test_a_base_has_the_layers_that_vllm_packs(tmp_path: Path) -> None:
    """Queries, keys and values are one, and so are gate and up."""
    shapes = BaseShapes.read(making.make_base(tmp_path / "base"))
    layers = layers_of(shapes)
    packed = {layer.slices for layer in layers}
    assert packed == {1, 2, 3}
    assert Layer(2, making.HIDDEN, making.INNER) in layers
    assert Layer(1, making.INNER, making.HIDDEN) in layers


@pytest.mark.parametrize("size", USUAL)
def test_usual_sizes_have_all_numbers_of_slices(size: str) -> None:
    """vLLM needs each of them in its files."""
    assert {layer.slices for layer in USUAL[size]} == {1, 2, 3}
