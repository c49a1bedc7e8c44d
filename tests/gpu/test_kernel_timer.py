"""The tuner of LoRA kernels over the device's own times, on a few launches."""

from __future__ import annotations

import pytest

from lorabay.bench.tuning.search import tune
from lorabay.bench.tuning.shapes import Product
from lorabay.serving.vllm.kernel_timer import open_timer

LAUNCHES = (
    Product("shrink", 9, 3, 16, 4096, 16),
    Product("shrink", 9, 1, 4096, 14336, 16),
    Product("expand", 9, 2, 16, 16, 14336),
    Product("expand", 9, 1, 4096, 16, 4096),
)
"""Of an 8B model with eight slots."""


@pytest.mark.parametrize("product", LAUNCHES, ids=str)
def test_a_launch_is_tuned(product: Product, figures: list[str]) -> None:
    """What is found is not slower than vLLM's own."""
    tuned = tune(product, open_timer())
    assert tuned is not None
    figures.append(
        f"tune: {product.operation} {product.slices} x ({product.rows}, {product.k}) by "
        f"{product.n}: {tuned.usual_milliseconds:.3f} ms by vLLM's own numbers, "
        f"{tuned.milliseconds:.3f} ms tuned, {tuned.tried} tried"
    )
    assert tuned.milliseconds <= tuned.usual_milliseconds
