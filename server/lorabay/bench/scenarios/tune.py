"""Scenario `tune`: the fastest configurations of vLLM's LoRA kernels on this GPU, as vLLM's files.

For the shapes of the base that is served, and of usual sizes from 1B to 70B. A server that is
started with `VLLM_TUNED_CONFIG_FOLDER` takes them. It needs a GPU, and asks no server.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.base.shapes import BaseShapes
from lorabay.bench.report import Fact, Findings
from lorabay.bench.tuning.kernel_files import write_files
from lorabay.bench.tuning.search import Timer, Tuned, tune as tune_product
from lorabay.bench.tuning.shapes import USUAL, Layer, layers_of, products_of
from lorabay.serving.machine_defaults import SLOTS_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.bench.progress import Progress
    from lorabay.bench.settings import BenchSettings

FOLDER = Path("lora-kernels")
"""Where the files go, unless the settings say otherwise."""


def tune(settings: BenchSettings, progress: Progress) -> Findings:
    """Tune every product, and write the files. Raises SetupError without a GPU."""
    from lorabay.serving.vllm.kernel_timer import open_timer

    return tune_on(open_timer(), settings, progress)


def tune_on(timer: Timer, settings: BenchSettings, progress: Progress) -> Findings:
    """Tune every product with `timer`, and write the files."""
    slots = int(settings.engine.get("max_loras", SLOTS_AT_MOST))
    products = products_of(_layers(settings.base), slots + 1)
    progress.plan(len(products))

    found: list[Tuned] = []
    for product in products:
        progress.step(
            f"{product.operation}: {product.slices} x ({product.rows}, {product.k}) "
            f"by ({product.k}, {product.n})"
        )
        tuned = tune_product(product, timer)
        if tuned is not None:
            found.append(tuned)

    write_files(settings.output or FOLDER, timer.device, found)
    return Findings(facts=(*_facts(found), Fact("not run here", len(products) - len(found), "")))


def _layers(base: str | None) -> set[Layer]:
    layers = {layer for size in USUAL.values() for layer in size}
    if base is not None:
        layers.update(layers_of(BaseShapes.read(Path(base))))
    return layers


def _facts(found: Sequence[Tuned]) -> list[Fact]:
    """Return by how much each operation became faster, at the median, and what that took."""
    facts: list[Fact] = []
    for operation in ("shrink", "expand"):
        own = [tuned for tuned in found if tuned.product.operation == operation]
        if own:
            gains = [tuned.usual_milliseconds / tuned.milliseconds for tuned in own]
            facts.append(Fact(f"{operation}: vLLM's own / tuned", statistics.median(gains), "x"))
            facts.append(Fact(f"{operation}: launches tuned", len(own), ""))
    facts.append(Fact("configurations timed", sum(tuned.tried for tuned in found), ""))
    return facts
