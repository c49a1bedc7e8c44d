"""An adapter's folder is read completely: config, tensors, and what lies beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.torch import save_file

from lorabay.algebra.updates import LowRank
from lorabay.base.shapes import BaseShapes
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Limits
from lorabay.formats.reading import base_model_of, initial_folder, open_adapter, read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import read

if TYPE_CHECKING:
    from pathlib import Path


def test_the_longer_context_of_longlora_is_a_change_of_the_config(
    llama: Path, tmp_path: Path
) -> None:
    """A model config beside the adapter gives the context that the training needs."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora-modules-to-save"])
    longer = {
        "max_position_embeddings": 128,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "hidden_size": 1,
    }
    (made.folder / "config.json").write_text(json.dumps(longer))
    changes = read(made, llama).config_changes
    assert changes == {name: longer[name] for name in ("max_position_embeddings", "rope_scaling")}


def test_factors_are_checked_when_they_are_read(llama: Path, tmp_path: Path) -> None:
    """Values that are not finite, and a file that changes meanwhile, raise a clear error."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    tensors = dict(peft_adapters.stored(made.folder))
    first = min(tensors)
    tensors[first] = tensors[first] * float("nan")
    save_file(tensors, made.folder / "adapter_model.safetensors")
    (update,) = read(made, llama).updates["model.layers.0.mlp.down_proj.weight"]
    assert isinstance(update, LowRank)
    with pytest.raises(SetupError, match="NaN"):
        update.a()
    assert np.isfinite(update.b()).all()
    with (made.folder / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(SetupError, match="changed"):
        update.b()


@pytest.mark.parametrize("peft_type", ["PROMPT_TUNING", "XLORA", "NOTHING"])
def test_what_changes_no_weight_is_refused_by_name(
    llama: Path, tmp_path: Path, peft_type: str
) -> None:
    """Types that add no weights, and unknown ones, are refused by name."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    (made.folder / "adapter_config.json").write_text(json.dumps({"peft_type": peft_type}))
    found = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(found, Rejected)
    assert peft_type in found.reasons[0].text


def test_the_problems_of_config_and_weights_are_reported_together(tmp_path: Path) -> None:
    """One look is enough to repair both."""
    (tmp_path / "adapter_config.json").write_text("{")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    result = open_adapter(tmp_path, Limits())
    assert isinstance(result, Rejected)
    assert result.codes == {"config_not_json", "header_truncated"}


def test_an_adapter_may_contain_its_initial_state(tmp_path: Path) -> None:
    """A folder counts only if it has a config."""
    (tmp_path / "pissa_init").mkdir()
    assert initial_folder(tmp_path) is None
    (tmp_path / "pissa_init" / "adapter_config.json").touch()
    assert initial_folder(tmp_path) == tmp_path / "pissa_init"


@pytest.mark.parametrize(("name", "expected"), [("acme/x", "acme/x"), ("", None), (3, None)])
def test_the_base_model_is_a_name_or_nothing(name: object, expected: str | None) -> None:
    """The config may say anything."""
    assert base_model_of({"base_model_name_or_path": name}) == expected
    assert base_model_of({}) is None
