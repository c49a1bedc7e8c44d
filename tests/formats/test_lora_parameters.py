"""LoRA on the experts of every architecture is read as PEFT merges it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import mixtures, peft_adapters
from tests.algebra.applied import applied

if TYPE_CHECKING:
    from pathlib import Path

EXPERTS = "base_model.model.model.layers.1.mlp.experts"
FIELDS: dict[str, dict[str, Any]] = {
    "both parameters": {},
    "parameters alone": {"target_modules": []},
    "one of them": {"target_parameters": ["mlp.experts.down_proj"]},
    "bare names": {"target_parameters": ["gate_up_proj", "down_proj"]},
    "rsLoRA": {"use_rslora": True},
    "ranks and alphas": {
        "rank_pattern": {r".*\.gate_up_proj": 6},
        "alpha_pattern": {"experts.down_proj": 3},
    },
}


def read(folder: Path, base: Path) -> AdapterUpdates:
    found = read_updates(folder, BaseShapes.read(base))
    assert isinstance(found, AdapterUpdates), found
    return found


def check_equal(name: str, tmp_path: Path, **fields: Any) -> AdapterUpdates:
    """Assert that every tensor of the base, with its updates, is that of PEFT's saved merge."""
    base = mixtures.make_base(name, tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", lambda: mixtures.on_experts(**fields))
    found = read(made.folder, base)
    merged = mixtures.saved_merge(made.model, tmp_path / "merged")

    weights = load_file(base / "model.safetensors")
    assert weights.keys() == merged.keys()
    assert found.updates.keys() <= weights.keys()
    for key, weight in weights.items():
        ours = applied(weight.numpy().astype(np.float64), found.updates.get(key, ()))
        theirs = merged[key].numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6, err_msg=key)
        if ".experts." in key and key in found.updates:
            assert not np.array_equal(theirs, weight.numpy()), key
    return found


@pytest.mark.parametrize("name", mixtures.CONFIGS)
def test_updates_are_those_of_pefts_merge(name: str, tmp_path: Path) -> None:
    """Experts one by one, all in one tensor, or the other way round: each expert gets its own."""
    found = check_equal(name, tmp_path)
    assert found.rank == 4


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("name", ["Mixtral", "gpt-oss"])
def test_targets_ranks_and_alphas_are_pefts(
    name: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever PEFT lets a config say of parameters."""
    check_equal(name, tmp_path, **fields)


@pytest.mark.parametrize("name", ["Qwen3-MoE", "gpt-oss"])
def test_a_matrix_that_is_a_parameter_is_plain_lora(name: str, tmp_path: Path) -> None:
    """The router is one: PEFT knows it by its weight."""
    router = "router.weight" if name == "gpt-oss" else "gate.weight"
    found = check_equal(name, tmp_path, target_parameters=[router])
    assert not [
        update for (update,) in found.updates.values() if isinstance(update, ExpertProducts)
    ]


def test_names_of_an_older_transformers_are_modules_of_their_own(tmp_path: Path) -> None:
    """PEFT turns `gate_proj` and `up_proj` into one parameter of twice the rank."""
    targets = ["q_proj", "gate_proj", "up_proj", "down_proj"]
    found = check_equal("Qwen3-MoE", tmp_path, target_modules=targets, target_parameters=None)
    assert found.rank == 8


@pytest.mark.parametrize("name", ["Qwen3-MoE", "GraniteMoE", "gpt-oss"])
def test_factors_of_an_older_peft_lie_the_other_way_round(name: str, tmp_path: Path) -> None:
    """It took every parameter for (experts, inputs, outputs): A and B make the transpose."""
    check_equal(name, tmp_path)
    base = BaseShapes.read(tmp_path / "base")
    before = read_updates(tmp_path / "a", base)
    path = tmp_path / "a" / "adapter_model.safetensors"
    tensors = dict(load_file(path))
    for key in [key for key in tensors if ".experts." in key and "lora_A" in key]:
        wrapper = key.removesuffix(".lora_A.weight")
        a, b = (tensors[f"{wrapper}.lora_{part}.weight"] for part in "AB")
        experts = a.reshape(mixtures.EXPERTS, 4, -1), b.reshape(len(b), 4, mixtures.EXPERTS)
        tensors[f"{wrapper}.lora_A.weight"] = experts[1].permute(2, 1, 0).reshape(-1, len(b))
        tensors[f"{wrapper}.lora_B.weight"] = experts[0].permute(2, 1, 0).reshape(a.shape[1], -1)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)

    after = read_updates(tmp_path / "a", base)
    assert isinstance(before, AdapterUpdates)
    assert isinstance(after, AdapterUpdates), after
    # What is square in both ways cannot be told apart.
    for key in [key for key in before.updates if name != "gpt-oss" or "gate_up" in key]:
        shape = base.tensors[key]
        ours = applied(np.zeros(shape), after.updates[key])
        np.testing.assert_allclose(ours, applied(np.zeros(shape), before.updates[key]), atol=1e-6)


def spoil(defect: str, folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = dict(load_file(path))
    if defect == "lost":
        del tensors[f"{EXPERTS}.lora_A.weight"], tensors[f"{EXPERTS}.lora_B.weight"]
    elif defect == "half a pair":
        del tensors[f"{EXPERTS}.lora_A.weight"]
    elif defect == "another rank":
        tensors[f"{EXPERTS}.lora_A.weight"] = tensors[f"{EXPERTS}.lora_A.weight"][:-1].clone()
    elif defect == "another width":
        tensors[f"{EXPERTS}.lora_A.weight"] = tensors[f"{EXPERTS}.lora_A.weight"][:, :-1].clone()
    else:
        tensors[f"{EXPERTS}.base_layer.base_layer.lora_A.weight"] = tensors[
            f"{EXPERTS}.lora_A.weight"
        ].clone()
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("defect", "code"),
    [
        ("lost", "missing_tensor"),
        ("half a pair", "missing_tensor"),
        ("another rank", "shape"),
        ("another width", "shape"),
        ("a wrapper too many", "module_not_in_base"),
    ],
)
@pytest.mark.parametrize("name", ["Qwen3-MoE", "gpt-oss"])
def test_each_defect_of_a_pair_is_named(name: str, defect: str, code: str, tmp_path: Path) -> None:
    """A pair that is lost, cut or strange is in the reasons."""
    base = mixtures.make_base(name, tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    spoil(defect, made.folder)
    found = read_updates(made.folder, BaseShapes.read(base))
    assert isinstance(found, Rejected)
    assert found.codes == {code}, found


def test_a_parameter_that_the_base_does_not_have_is_named(llama: Path, tmp_path: Path) -> None:
    """An adapter of a mixture does not fit a dense base."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    found = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(found, Rejected)
    assert "target_parameters" in found.codes
    assert "'experts.gate_up_proj'" in found.line


def test_factors_are_read_once_for_all_experts_of_a_layer(tmp_path: Path) -> None:
    """Not once an expert, of which a mixture may have hundreds: a file that changed is not read."""
    base = mixtures.make_base("Qwen3-MoE", tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", mixtures.on_experts)
    found = read(made.folder, base)

    def product(expert: int, matrix: str) -> LowRank:
        (update,) = found.updates[f"model.layers.0.mlp.experts.{expert}.{matrix}.weight"]
        assert isinstance(update, LowRank)
        return update

    first = product(0, "gate_proj")
    first.a(), first.b()
    os.utime(made.folder / "adapter_model.safetensors", (0, 0))
    for expert in range(mixtures.EXPERTS):
        for matrix in ("gate_proj", "up_proj"):
            assert product(expert, matrix).a().shape == (4, mixtures.HIDDEN)
            assert product(expert, matrix).b().shape == (mixtures.EXPERT, 4)
    with pytest.raises(SetupError, match="changed while it was read"):
        product(0, "down_proj").a()
