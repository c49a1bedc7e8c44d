"""ms-swift's own adapters change the weights as PEFT's do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file, save_file

from tests.formats.trainers import left_behind
from tests.formats.trainers.proof import check_read, check_refused

if TYPE_CHECKING:
    from pathlib import Path


def test_the_tuners_name_is_taken_out_of_the_names(llama: Path, tmp_path: Path) -> None:
    """The scale is PEFT's."""
    read = check_read(left_behind.swift(llama, tmp_path / "a"), llama)
    assert (read.format, read.rank) == ("ms-swift", 4)


def test_another_tuner_of_its_own_is_refused(llama: Path, tmp_path: Path) -> None:
    """Only its LoRA has a known formula."""
    left = left_behind.swift(llama, tmp_path / "a")
    _state(left.folder, swift_type="LONGLORA")
    refusal = check_refused(left.folder, llama)
    assert refusal.codes == {"foreign_format"}
    assert "LONGLORA" in refusal.line


def _state(folder: Path, **fields: object) -> None:
    """Write fields into the config."""
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_patterns_decide_the_scale_of_a_module(llama: Path, tmp_path: Path) -> None:
    """Any expression of Python's may be one; the other modules keep the config's alpha."""
    left = left_behind.swift(llama, tmp_path / "a")
    patterns = {
        "q_proj": 100 * left_behind.ALPHA,
        r"(?=.*layers\.1\.).*(k|v)_proj": 2 * left_behind.ALPHA,
    }
    _state(left.folder, alpha_pattern=patterns, rank_pattern={"q_proj": left_behind.RANK})
    before, merged = load_file(llama / "model.safetensors"), dict(left.merged)
    factors = {
        "model.layers.0.self_attn.q_proj.weight": 100,
        "model.layers.1.self_attn.q_proj.weight": 100,
        "model.layers.1.self_attn.k_proj.weight": 2,
        "model.layers.1.self_attn.v_proj.weight": 2,
    }
    for name, factor in factors.items():
        merged[name] = before[name] + factor * (merged[name] - before[name])
    check_read(left_behind.Left(left.folder, merged), llama)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"init_lora_weights": "pissa"}, "init_changed_base"),
        ({"init_lora_weights": "olora"}, "init_changed_base"),
        ({"rank_pattern": {"q_proj": 2}}, "rank"),
        ({"alpha_pattern": {"(q_proj": 2}}, "pattern"),
        ({"r": 8}, "rank"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "layer_replication"),
        ({"use_dora": True}, "foreign_format"),
        ({"use_qa_lora": True}, "foreign_format"),
        ({"use_merged_linear": True}, "foreign_format"),
    ],
)
def test_what_is_no_product_of_the_factors_is_refused(
    fields: dict[str, object], code: str, llama: Path, tmp_path: Path
) -> None:
    """Its LoraConfig is PEFT's with more fields; all of them can decide the weights."""
    left = left_behind.swift(llama, tmp_path / "a")
    _state(left.folder, **fields)
    assert check_refused(left.folder, llama).codes == {code}


def test_fields_that_say_how_it_began_change_nothing(llama: Path, tmp_path: Path) -> None:
    """Null and text forms are what PEFT takes them for."""
    left = left_behind.swift(llama, tmp_path / "a")
    _state(left.folder, init_lora_weights="gaussian", use_rslora=None, alpha_pattern={}, bias=None)
    check_read(left, llama)


@pytest.mark.parametrize("second", ["{}.lora_{}.second.weight", "language_model.{}.lora_{}.weight"])
def test_a_second_adapter_in_the_file_is_not_left_out(
    second: str, llama: Path, tmp_path: Path
) -> None:
    """Two tuners, or two names of one module."""
    left = left_behind.swift(llama, tmp_path / "a")
    tensors = load_file(left.folder / "adapter_model.safetensors")
    module = "model.layers.0.self_attn.q_proj"
    for factor in "AB":
        stored = tensors[f"{module}.lora_{factor}.default.weight"]
        tensors[second.format(module, factor)] = stored * 2
    save_file(tensors, left.folder / "adapter_model.safetensors")
    assert check_refused(left.folder, llama).codes == {"ambiguous_module"}
