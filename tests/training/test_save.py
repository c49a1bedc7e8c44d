"""Adapter files are whole at every moment."""

from __future__ import annotations

from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file

from lorabay.errors import SetupError
from lorabay.training.save import clean_config, write_adapter

CONFIG = {"peft_type": "LORA"}
TENSORS = {"b": torch.ones(3, 2), "a": torch.full((2, 3), 0.5)}


def test_files_replace_older_ones(tmp_path: Path) -> None:
    """A new training replaces both files and leaves nothing beside them."""
    for value in (1.0, 2.0):
        write_adapter(tmp_path / "new", {"a": TENSORS["a"] * value}, CONFIG, "bfloat16")

    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert load_file(tmp_path / "new" / "adapter_model.safetensors")[
        "a"
    ].float().unique().tolist() == [1.0]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Where the weights cannot be put into place, nothing partial stays and the config is not
    touched.
    """
    (tmp_path / "adapter_model.safetensors").mkdir()
    with pytest.raises(IsADirectoryError):
        write_adapter(tmp_path, TENSORS, CONFIG, "bfloat16")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter_model.safetensors"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_weights_are_saved_in_the_format_that_is_asked_for(tmp_path: Path, dtype: str) -> None:
    """The number format that is asked for is that of every tensor."""
    write_adapter(tmp_path, TENSORS, CONFIG, dtype)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {getattr(torch, dtype)}
    assert set(weights) == {"a", "b"}


@pytest.mark.parametrize(("value", "dtype"), [(1e6, "float16"), (float("nan"), "float32")])
def test_weights_that_are_not_finite_replace_nothing(
    tmp_path: Path, value: float, dtype: str
) -> None:
    """Neither what training ruined nor what overflows in the format of the file."""
    write_adapter(tmp_path, TENSORS, CONFIG, "bfloat16")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bad = {**TENSORS, "a": torch.full((2, 3), value)}
    with pytest.raises(SetupError, match="a holds NaN or infinite values"):
        write_adapter(tmp_path, bad, CONFIG, dtype)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_config_has_what_was_set_and_what_every_reader_looks_for(tiny_base: Path) -> None:
    """Sets are in order, PEFT's other defaults are left out, and the base has its public name."""
    made = peft.LoraConfig(r=2, lora_alpha=4, target_modules={"v_proj", "q_proj"}, use_dora=True)
    config = clean_config(made, tiny_base)
    assert config == {
        "base_model_name_or_path": "tiny-llama",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 4,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "peft_version": peft.__version__,
        "r": 2,
        "target_modules": ["q_proj", "v_proj"],
        "task_type": "CAUSAL_LM",
        "use_dora": True,
        "use_rslora": False,
    }
    assert list(config) == sorted(config)
