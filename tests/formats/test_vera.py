"""VeRA is read as PEFT merges it, whether its projections are stored or drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from peft.tuners.vera.model import _kaiming_init
from safetensors.torch import save_file

from lorabay.base.shapes import BaseShapes
from lorabay.formats.reading import read_updates
from lorabay.formats.vera import draw_projections
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import CODES, check_defect, check_gpt2_merge, check_merge

if TYPE_CHECKING:
    from pathlib import Path

GPT2 = "ignore:fan_in_fan_out is set to True but the target module:UserWarning"


@pytest.mark.parametrize("name", ["vera", "vera-seed"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.filterwarnings(GPT2)
@pytest.mark.parametrize("name", ["vera", "vera-seed"])
def test_factors_of_transposed_layers_are_transposed(name: str, gpt2: Path, tmp_path: Path) -> None:
    """GPT-2's layers are stored the other way round; the factors once did not fit them."""
    check_gpt2_merge(name, gpt2, tmp_path / "a")


@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(defect: str, llama: Path, tmp_path: Path) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect("vera", defect, llama, tmp_path / "a")


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 12345678901])
def test_projections_are_drawn_again_bit_by_bit(seed: int) -> None:
    """The seed gives the very values that PyTorch's generator gives."""
    a, b = draw_projections(seed, 16, 300, 77)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    assert np.array_equal(a, _kaiming_init((16, 77), generator).numpy())
    assert np.array_equal(b, _kaiming_init((300, 16), generator).numpy())


def test_a_projection_of_three_dimensions_is_refused(llama: Path, tmp_path: Path) -> None:
    """It has no rank and no size; reading it once ended in an exception."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["vera"])
    tensors = dict(peft_adapters.stored(made.folder))
    tensors["base_model.vera_A"] = tensors["base_model.vera_A"][..., None].contiguous()
    save_file(tensors, made.folder / "adapter_model.safetensors")
    result = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(result, Rejected)
    assert result.codes == {"shape"}
