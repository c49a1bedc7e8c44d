"""LoHa is read as PEFT merges it, and its factors are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import Tensor
from lorabay.formats import loha
from lorabay.formats.interface import Source, Updates
from tests.formats.merged import CODES, check_defect, check_merge

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["loha", "loha-patterns"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(defect: str, llama: Path, tmp_path: Path) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect("loha", defect, llama, tmp_path / "a")


def test_a_small_loha_is_exactly_a_product_of_the_squared_rank() -> None:
    """The factors that serving takes make the elementwise product of the formula."""
    random = np.random.default_rng(0)
    shapes = {"hada_w1_a": (6, 2), "hada_w1_b": (2, 5), "hada_w2_a": (6, 2), "hada_w2_b": (2, 5)}
    values = {role: random.standard_normal(shape, np.float32) for role, shape in shapes.items()}
    tensors = tuple(
        TensorInfo(f"base_model.model.layer.{role}", "F32", shape, 0, 0)
        for role, shape in shapes.items()
    )

    def stored(info: TensorInfo) -> Tensor:
        return Tensor("F32", values[info.name.rpartition(".")[2]])

    config = {"r": 2, "alpha": 3.0, "target_modules": ["layer"]}
    base = BaseShapes({"layer": (6, 5)}, ("tiny",), None, tied=False)
    updates = loha.updates(Source(config, tensors, stored), base)
    assert isinstance(updates, Updates), updates

    (update,) = updates.by_tensor["layer.weight"]
    product = update.as_product()
    assert product is not None
    assert product.rank == updates.rank == 4
    w1a, w1b, w2a, w2b = (values[role].astype(np.float64) for role in shapes)
    expected = 1.5 * (w1a @ w1b) * (w2a @ w2b)
    np.testing.assert_allclose(product.delta(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(update.applied_to(np.zeros((6, 5), np.float32)), expected, rtol=1e-5)
