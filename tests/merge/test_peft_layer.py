"""Layers that only PEFT can merge, loaded without the model around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file

from lorabay.algebra.updates import PeftLayer
from lorabay.errors import SetupError
from lorabay.merge.peft_layer import PeftLayers
from tests import peft_adapters
from tests.making import PREFIX

MODULE = "model.layers.1.self_attn.q_proj"


@pytest.fixture
def made(tmp_path: Path) -> peft_adapters.Made:
    base = peft_adapters.make_base(tmp_path / "base")
    config = peft.HRAConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj"])
    return peft_adapters.make(base, tmp_path / "adapter", lambda: config)


def test_a_layer_merges_into_a_weight_that_is_lent(
    made: peft_adapters.Made, tmp_path: Path
) -> None:
    """The result is PEFT's own, and the weight stays as it was."""
    weight = load_file(tmp_path / "base" / "model.safetensors")[f"{MODULE}.weight"].numpy()
    before = weight.copy()
    layer = PeftLayer(MODULE, (f"{PREFIX}{MODULE}.hra_u",))
    layers = PeftLayers.load(tmp_path / "adapter", {layer: weight.shape}, "llama")

    expected = made.merged()[f"{MODULE}.weight"]
    merged = torch.from_numpy(layers.merged(layer, weight))
    torch.testing.assert_close(merged, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(weight, before)


@pytest.mark.usefixtures("made")
def test_tensors_that_peft_does_not_know(tmp_path: Path) -> None:
    """They are named, so that nothing of an adapter is left out unseen."""
    other = PeftLayer("another.module", (f"{PREFIX}{MODULE}.hra_u",))
    with pytest.raises(SetupError, match=r"does not know the adapter's tensors.*q_proj"):
        PeftLayers.load(tmp_path / "adapter", {other: (4, 4)}, "llama")


def test_a_folder_without_an_adapter(tmp_path: Path) -> None:
    """One line that names the folder."""
    with pytest.raises(SetupError, match=r"PEFT cannot load the adapter in .*: "):
        PeftLayers.load(tmp_path, {PeftLayer(MODULE, ()): (4, 4)}, "llama")
