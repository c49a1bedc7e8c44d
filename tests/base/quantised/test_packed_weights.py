"""Packed tensors are told from plain ones, with everything that only describes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.quantised.packed_weights import PackedWeights
from lorabay.base.tensors import Stored

DTYPES = {
    "a.q_proj.weight": "U8",
    "a.q_proj.weight_scale": "F8_E4M3",
    "a.q_proj.weight_scale_2": "F32",
    "a.q_proj.bias": "BF16",
    "a.k_proj._weight_qdata": "I8",
    "a.k_proj._weight_scale": "BF16",
    "a.v_proj.weight.absmax": "F32",
    "a.v_proj.weight": "U8",
    "a.o_proj.weight": "BF16",
    "a.experts.up_proj_blocks": "U8",
    "a.experts.up_proj_bias": "BF16",
    "norm.weight": "F32",
}


@pytest.fixture
def weights() -> PackedWeights:
    place = Path("model.safetensors")
    stored = {name: Stored(name, place, dtype, (), 0, 1) for name, dtype in DTYPES.items()}
    return PackedWeights.of(stored)


def test_all_tensors_of_a_packed_module_are_parts(weights: PackedWeights) -> None:
    """Scales are plain numbers, and mean nothing without the packed ones."""
    assert weights.parts == DTYPES.keys() - {"a.o_proj.weight", "norm.weight"}


@pytest.mark.parametrize(
    ("name", "packed", "dtypes"),
    [
        ("a.q_proj.weight", True, "U8"),
        ("a.q_proj.bias", False, ""),
        ("a.k_proj.weight", True, "I8"),
        ("a.v_proj.weight", True, "U8"),
        ("a.o_proj.weight", False, ""),
        ("a.experts.up_proj", True, "U8"),
        ("a.experts.up_proj_bias", False, ""),
        ("lm_head.weight", False, ""),
    ],
)
def test_dense_names_lead_to_packed_tensors(
    weights: PackedWeights, name: str, packed: bool, dtypes: str
) -> None:
    """Whoever changes a tensor knows it by its dense name, whatever its parts are called."""
    assert weights.hold(name) == packed
    assert weights.dtypes([name]) == dtypes
