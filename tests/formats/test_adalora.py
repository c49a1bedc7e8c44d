"""AdaLoRA is read as PEFT merges it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.formats.reading import read_updates
from lorabay.reasons import Rejected
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

    import peft

MASKS = {"q_proj": [True, False, True, True, False, True], "v_proj": [False] * 6}
GPT2 = "ignore:fan_in_fan_out is set to True but the target module:UserWarning"


@pytest.mark.parametrize("name", ["adalora"])
def test_updates_are_those_of_pefts_merge(name: str, llama: Path, tmp_path: Path) -> None:
    """An adapter that PEFT saved changes every weight as PEFT's merge does."""
    check_merge(name, llama, tmp_path / "a")


@pytest.mark.filterwarnings(GPT2)
@pytest.mark.parametrize("name", ["adalora"])
def test_factors_of_transposed_layers_are_transposed(name: str, gpt2: Path, tmp_path: Path) -> None:
    """GPT-2's layers are stored the other way round; the factors once did not fit them."""
    check_gpt2_merge(name, gpt2, tmp_path / "a")


@pytest.mark.parametrize("defect", CODES)
def test_each_defect_of_a_tensor_is_named(defect: str, llama: Path, tmp_path: Path) -> None:
    """A tensor that is missing, misshapen, misplaced or strange is in the reasons."""
    check_defect("adalora", defect, llama, tmp_path / "a")


def test_a_config_without_the_initial_rank_has_pefts_default(llama: Path, tmp_path: Path) -> None:
    """Some trainers leave out fields that have their default."""
    made = peft_adapters.make(llama, tmp_path / "a", lambda: peft_adapters.adalora(init_r=12))
    path = made.folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config.pop("init_r") == 12
    path.write_text(json.dumps(config), encoding="utf-8")
    check_equal(read(made, llama), llama, made.merged())


def test_a_pruned_module_keeps_the_scale_of_the_rank_it_began_with(
    llama: Path, tmp_path: Path
) -> None:
    """Ranks pruned by the budget, down to none, leave the scale of the others as it was."""

    def pruned() -> peft.PeftConfig:
        rows = {
            f"model.layers.{layer}.self_attn.{leaf}.lora_E": mask
            for layer in (0, 1)
            for leaf, mask in MASKS.items()
        }
        return peft_adapters.adalora(target_modules=list(MASKS), rank_pattern=rows)

    made = peft_adapters.make(llama, tmp_path / "a", pruned)
    tensors = peft_adapters.stored(made.folder)
    ranks = {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name}
    assert ranks == {4, 0}
    check_equal(read(made, llama), llama, made.merged())


@pytest.mark.parametrize("count", [-1e-5, 0.0, -3.0, 0.5])
def test_a_module_began_with_a_rank(count: float, llama: Path, tmp_path: Path) -> None:
    """PEFT divides by it; a number below 1 is named with its tensor."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.adalora)
    tensors = dict(peft_adapters.stored(made.folder))
    name = min(tensors).rpartition(".lora_")[0] + ".ranknum"
    tensors[name] = torch.tensor([count])
    save_file(tensors, made.folder / "adapter_model.safetensors")
    result = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(result, Rejected), result
    (reason,) = result.reasons
    assert reason.code == "rank"
    assert name in reason.text


@pytest.mark.parametrize("count", [float("nan"), float("inf")])
def test_a_rank_that_is_no_number_is_not_served(count: float, llama: Path, tmp_path: Path) -> None:
    """The catalog, which judges values later, names it as well."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.adalora)
    tensors = dict(peft_adapters.stored(made.folder))
    name = min(tensors).rpartition(".lora_")[0] + ".ranknum"
    save_file(tensors | {name: torch.tensor([count])}, made.folder / "adapter_model.safetensors")
    result = validate(made.folder, Checks(BaseShapes.read(llama), max_rank=16))
    assert isinstance(result, Rejected)
    assert result.codes == {"rank"}
