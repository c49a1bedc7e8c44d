"""Targets that the base does not have are named, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lorabay.errors import SetupError
from lorabay.training.recipe import read_recipe
from lorabay.training.variants.base_model import check_targets, load_base, with_adapter
from lorabay.training.variants.lora import config_of


@pytest.fixture
def model(tiny_base: Path, adapter_dir: Path) -> Any:
    """The tiny base."""
    return load_base(tiny_base, read_recipe(adapter_dir))


def test_the_base_is_in_float32(model: Any) -> None:
    """Whatever its files hold."""
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_one_wrong_name_among_right_ones_is_refused(model: Any) -> None:
    """PEFT would train the others only; the line says what there is."""
    check_targets(model, ["q_proj", "layers.1.mlp.up_proj"])
    with pytest.raises(SetupError, match=r"no linear module c_attn, which .* down_proj, gate_proj"):
        check_targets(model, ["q_proj", "c_attn"])
    with pytest.raises(SetupError, match="no linear module input_layernorm"):
        check_targets(model, ["input_layernorm"])


def test_only_the_adapter_learns(model: Any, adapter_dir: Path) -> None:
    """The base is frozen."""
    peft = with_adapter(model, config_of(read_recipe(adapter_dir)))
    learning = [name for name, value in peft.named_parameters() if value.requires_grad]
    assert len(learning) == 12
    assert all("lora_" in name for name in learning)
