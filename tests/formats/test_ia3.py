"""(IA)³ is read as PEFT merges it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import peft_adapters
from tests.formats.merged import (
    CODES,
    check_defect,
    check_equal,
    check_gpt2_merge,
    check_merge,
    read,
)

if TYPE_CHECKING:
    from pathlib import Path

GPT2 = "ignore:fan_in_fan_out is set to True but the target module:UserWarning"


@pytest.mark.parametrize("name", ["ia3"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.filterwarnings(GPT2)
@pytest.mark.parametrize("name", ["ia3"])
def test_factors_of_transposed_layers_are_transposed(name: str, gpt2: Path, tmp_path: Path) -> None:
    """GPT-2's layers are stored the other way round; the factors once did not fit them."""
    check_gpt2_merge(name, gpt2, tmp_path / "a")


@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(defect: str, llama: Path, tmp_path: Path) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect("ia3", defect, llama, tmp_path / "a")


def test_a_gate_of_outputs_scales_the_bias_too(tmp_path: Path) -> None:
    """The layer's whole output is multiplied, so its bias is part of it."""
    base = peft_adapters.make_base(tmp_path / "base", bias=True)
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["ia3"])
    updates = read(made, base)
    assert "model.layers.0.self_attn.k_proj.bias" in updates.updates
    check_equal(updates, base, made.merged())
