"""An adapter that took a part of the base with it is exact once that part is subtracted."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from lorabay.algebra.updates import Replaced
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.formats.pissa import init_problems
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import check_equal
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("init", "changes_base"),
    [(True, False), (None, False), ("gaussian", False), ("EVA", False), ("pissa_niter_4", True)],
)
def test_only_some_initialisations_change_the_base(init: object, changes_base: bool) -> None:
    """An unknown name counts as one that does."""
    assert any(init_problems({"init_lora_weights": init})) == changes_base
    assert any(init_problems({"init_lora_weights": "next_year"}))


def make_with_a_part_of_the_base(
    llama: Path, tmp_path: Path, init: str, **fields: object
) -> dict[str, torch.Tensor]:
    """Return PEFT's merged weights; write adapter `a`, its `initial` state, `residual` base."""
    torch.manual_seed(3)
    with quiet_transformers():
        model = peft.get_peft_model(
            LlamaForCausalLM.from_pretrained(llama, dtype=torch.float32),
            peft_adapters.lora(init_lora_weights=init, **fields),
        )
        model.peft_config["default"].init_lora_weights = True
        model.save_pretrained(tmp_path / "initial")
        model.peft_config["default"].init_lora_weights = init
        residual = {
            name.replace(".base_layer", ""): value.detach().clone()
            for name, value in model.base_model.model.state_dict().items()
            if ".lora_" not in name
        }
        peft_adapters.randomise(model, 1, 0.1)
        model.save_pretrained(tmp_path / "a")
        merged = model.merge_and_unload().state_dict()
    shutil.copytree(llama, tmp_path / "residual")
    save_file(residual, tmp_path / "residual" / "model.safetensors")
    return merged


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_an_adapter_that_took_a_part_of_the_base_needs_to_know_which(
    llama: Path, tmp_path: Path, init: str, dora: bool
) -> None:
    """It is exact with the initial adapter or on the residual base, and refused without either."""
    folder = tmp_path / "a"
    merged = make_with_a_part_of_the_base(llama, tmp_path, init, use_dora=dora)
    refused = read_updates(folder, BaseShapes.read(llama))
    assert isinstance(refused, Rejected)
    assert refused.codes == {"init_changed_base"}
    assert init in refused.reasons[0].text
    with_initial = read_updates(folder, BaseShapes.read(llama), initial=tmp_path / "initial")
    assert isinstance(with_initial, AdapterUpdates), with_initial
    check_equal(with_initial, llama, merged, tolerance=1e-5)
    (tmp_path / "initial").rename(folder / "pissa_init")
    assert isinstance(read_updates(folder, BaseShapes.read(llama)), AdapterUpdates)
    (folder / "pissa_init").rename(tmp_path / "elsewhere")
    on_residual = read_updates(folder, BaseShapes.read(tmp_path / "residual"), residual_base=True)
    assert isinstance(on_residual, AdapterUpdates), on_residual
    check_equal(on_residual, tmp_path / "residual", merged, tolerance=1e-5)


def test_what_the_initialisation_left_of_the_head_is_not_taken_for_the_base(
    llama: Path, tmp_path: Path
) -> None:
    """PEFT saves the head as the initialisation left it; modules trained as a whole stay."""
    fields = {"target_modules": ["q_proj", "lm_head"], "modules_to_save": ["norm"]}
    merged = make_with_a_part_of_the_base(llama, tmp_path, "pissa", **fields)
    assert "base_model.model.lm_head.base_layer.weight" in peft_adapters.stored(tmp_path / "a")
    found = read_updates(tmp_path / "a", BaseShapes.read(llama), initial=tmp_path / "initial")
    assert isinstance(found, AdapterUpdates), found
    assert isinstance(found.updates["model.norm.weight"][0], Replaced)
    check_equal(found, llama, merged, tolerance=1e-5)


@pytest.mark.parametrize("fewer", ["initial", "a"])
def test_both_the_initial_and_the_trained_adapter_have_every_module(
    llama: Path, tmp_path: Path, fewer: str
) -> None:
    """Every module that one of the two lacks is named."""
    make_with_a_part_of_the_base(llama, tmp_path, "pissa", target_modules=ATTENTION)
    path = tmp_path / fewer / "adapter_model.safetensors"
    save_file(
        {name: tensor for name, tensor in load_file(path).items() if "v_proj" not in name}, path
    )
    config = json.loads((tmp_path / fewer / "adapter_config.json").read_text())
    (tmp_path / fewer / "adapter_config.json").write_text(
        json.dumps(config | {"target_modules": ["q_proj"]})
    )
    found = read_updates(tmp_path / "a", BaseShapes.read(llama), initial=tmp_path / "initial")
    assert isinstance(found, Rejected)
    assert found.codes == {"init_changed_base"}
    assert [
        f"layers.{layer}.self_attn.v_proj" in reason.text
        for layer, reason in enumerate(found.reasons)
    ] == [True] * 2
