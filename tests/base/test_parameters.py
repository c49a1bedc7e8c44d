"""Parameters of a model are found in the files of its base, however those hold experts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lorabay.base.parameters import Parameter, parameters, places
from lorabay.base.shapes import BaseShapes
from tests import mixtures

if TYPE_CHECKING:
    from pathlib import Path

LAYER = "model.layers.1"


@pytest.mark.parametrize("name", mixtures.CONFIGS)
def test_every_parameter_of_the_experts_is_found_under_its_name_in_the_model(
    name: str, tmp_path: Path
) -> None:
    """The parts in the files, put together, are the parameter that transformers loads."""
    base = mixtures.make_base(name, tmp_path / "base")
    files = load_file(base / "model.safetensors")
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    found = parameters(BaseShapes.read(base))

    experts = [
        key for key, _ in model.named_parameters() if key.endswith((".gate_up_proj", ".down_proj"))
    ]
    assert len(experts) == 4
    for key in experts:
        together = joined(found[key], files)
        assert torch.equal(together, model.get_parameter(key)), key


def joined(parameter: Parameter, files: dict[str, torch.Tensor]) -> torch.Tensor:
    if parameter.tensor is not None:
        return files[parameter.tensor]
    whole = torch.empty(parameter.experts, *parameter.shape)
    for matrix in parameter.matrices:
        whole[matrix.expert, matrix.first : matrix.last] = files[matrix.tensor]
    return whole


def test_every_tensor_of_an_expert_has_its_place(tmp_path: Path) -> None:
    """A matrix of an older class leads to the parameter of the newer one."""
    base = mixtures.make_base("Mixtral", tmp_path / "base")
    found = places(BaseShapes.read(base))[f"{LAYER}.block_sparse_moe.experts.3.w3.weight"]
    matrix = dict(found)[f"{LAYER}.mlp.experts.gate_up_proj"]
    assert matrix is not None
    assert (matrix.expert, matrix.first, matrix.last) == (3, mixtures.EXPERT, 2 * mixtures.EXPERT)


def test_experts_that_are_not_all_there_are_no_parameter(tmp_path: Path) -> None:
    """A base that lacks a matrix is not guessed at."""
    base = BaseShapes.read(mixtures.make_base("Qwen3-MoE", tmp_path / "base"))
    tensors = dict(base.tensors)
    del tensors[f"{LAYER}.mlp.experts.2.up_proj.weight"]
    found = parameters(replace(base, tensors=tensors))
    assert f"{LAYER}.mlp.experts.gate_up_proj" not in found
    assert f"{LAYER}.mlp.experts.down_proj" in found
