"""Fields that name modules speak of the base's modules afterwards."""

from __future__ import annotations

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.formats.naming.config_names import in_base_names, patterns_by_module

Q_PROJ = "model.layers.0.self_attn.q_proj"
OWN = "layers.0.self_attn.q_proj"
OWN_NAMES = {Q_PROJ: OWN}


@pytest.mark.parametrize("field", ["target_modules", "modules_to_save", "exclude_modules"])
def test_lists_of_modules_are_renamed(base: BaseShapes, field: str) -> None:
    """An end of a name, and what fits no module, stays; so does a text in place of a list."""
    entries = [f"_orig_mod.{Q_PROJ}", "q_proj", "strange", 3]
    config = in_base_names({field: entries, "r": 4}, OWN_NAMES, base, trusted=False)
    assert config == {field: [Q_PROJ, "q_proj", "strange", 3], "r": 4}
    text: dict[str, object] = {field: "all-linear"}
    assert in_base_names(text, OWN_NAMES, base, trusted=False) == text


def test_lists_of_rows_are_renamed(base: BaseShapes) -> None:
    """They stand by the name of their module."""
    config: dict[str, object] = {"trainable_token_indices": {"module.model.embed_tokens": [1, 2]}}
    renamed = in_base_names(config, OWN_NAMES, base, trusted=False)
    assert renamed == {"trainable_token_indices": {"model.embed_tokens": [1, 2]}}


def test_patterns_become_values_of_modules() -> None:
    """They are matched with the names of the training."""
    config: dict[str, object] = {"rank_pattern": {r"^layers\.\d+\..*": 8}, "alpha_pattern": {}}
    assert patterns_by_module(config, OWN_NAMES, trusted=True) == {
        "rank_pattern": {f"^{Q_PROJ}": 8}
    }


def test_patterns_that_cannot_be_used_stay() -> None:
    """The format refuses them with its reason."""
    config: dict[str, object] = {"rank_pattern": {"(": 8}}
    assert patterns_by_module(config, OWN_NAMES, trusted=True) == config


def test_patterns_of_single_tensors_are_renamed() -> None:
    """AdaLoRA has a list of the kept ranks for each."""
    config: dict[str, object] = {
        "rank_pattern": {f"{OWN}.lora_E": [True, False], "other.lora_E": [True]}
    }
    assert patterns_by_module(config, OWN_NAMES, trusted=False) == {
        "rank_pattern": {f"{Q_PROJ}.lora_E": [True, False], "other.lora_E": [True]}
    }
